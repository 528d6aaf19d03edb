"""A block of code whose warnings nobody sees, safe in threads.

Pillow warns of damaged metadata and of large pictures. Neither is of use to someone who checks ten thousand files:
what matters is answered by an error or by a right picture. ``warnings.catch_warnings`` swaps the filters of the whole
process and so cannot be used where files are read in threads. Here one filter is installed that matches whatever is
raised inside `quiet`, in that thread, and nothing else: the caller's own use of Pillow warns as before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_silent = ContextVar("_silent", default=False)


class _AskTheBlock(type):
    def __subclasscheck__(cls, subclass: type) -> bool:
        return _silent.get()


class _InsideQuiet(Warning, metaclass=_AskTheBlock):
    """Counts every warning raised inside `quiet` as its subclass, and none raised elsewhere."""


@contextmanager
def quiet() -> Iterator[None]:
    """Discard the warnings that the block raises in this thread, whatever filters the program has set.

    Examples
    --------
    >>> with quiet():
    ...     warnings.warn("nobody hears this", stacklevel=1)
    """
    if not warnings.filters or warnings.filters[0][2] is not _InsideQuiet:
        warnings.simplefilter("ignore", _InsideQuiet)  # the first filter that matches decides
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)
