"""How many pixels all threads of the process decode at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Lets threads pass while there is room for their pixels, one at least, in the order of their coming.

    A thread must not ask again for what it still holds: it would wait for itself.
    """

    def __init__(self) -> None:
        self._turn = (
            threading.Lock()
        )  # held by the first in the queue: a large picture is not passed by small ones
        self._changed = threading.Condition()
        self._held = 0

    @contextmanager
    def holding(self, pixels: int, capacity: int) -> Iterator[None]:
        """Wait until ``pixels`` more fit into ``capacity``, or nothing is held; hold them inside the block."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + pixels <= capacity)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


in_flight = PixelBudget()
"""The budget of this process."""
