"""Suppress warnings in a block of code, in one thread only.

Pillow warns of damaged metadata and of large images. Neither helps a user who checks ten thousand files: an image is
either read correctly or reported as an error. ``warnings.catch_warnings`` changes the filters of the whole process, so
it is not safe where threads read files. Here one filter is installed, which matches every warning raised inside `quiet`
in that thread, and no other: the caller's own use of Pillow warns as before.
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
    """Has every warning category as a subclass inside `quiet`, and none elsewhere."""


@contextmanager
def quiet() -> Iterator[None]:
    """Discard the warnings that the block raises in this thread, whatever filters the program has set.

    Examples
    --------
    >>> with quiet():
    ...     warnings.warn("this is suppressed", stacklevel=1)
    """
    if not warnings.filters or warnings.filters[0][2] is not _InsideQuiet:
        warnings.simplefilter("ignore", _InsideQuiet)  # the first filter that matches decides
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)
