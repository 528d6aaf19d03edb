"""A limit on the pixels that all threads of the process decode at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Makes threads wait until there is room for their pixels, first come, first served; one may always pass.

    A thread must not ask again while it holds pixels: it would wait for itself.
    """

    def __init__(self) -> None:
        self._turn = (
            threading.Lock()
        )  # held by the first thread in the queue, so that smaller images cannot overtake
        self._changed = threading.Condition()
        self._held = 0

    @contextmanager
    def holding(self, pixels: int, capacity: int) -> Iterator[None]:
        """Wait until ``pixels`` fit into ``capacity``, or no thread holds any; hold them until the block ends."""
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
