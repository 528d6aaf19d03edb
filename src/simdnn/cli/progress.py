"""How far the work is: a bar on a screen, now and then a line elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from simdnn.cli.text import echo
from simdnn.progress import Progress

EVERY = 10.0
"""Seconds between two lines where standard error is no screen."""


@contextmanager
def progress_bar(description: str, then: str = "") -> Iterator[Progress]:
    """Show how far the work is on standard error; yields the callback (done, total).

    A bar with rate and remaining time where that is a screen, else a line every `EVERY` seconds. It never runs
    backwards.

    Parameters
    ----------
    description : what is done, such as "checking"
    then : what is done when all images are through, if that takes a while
    """
    with progress_bars(description, then=then) as (moved,):
        yield moved


@contextmanager
def progress_bars(*descriptions: str, then: str = "") -> Iterator[tuple[Progress, ...]]:
    """Show several bars, one below the other, as `progress_bar` shows one; each appears with its first image."""
    on_screen = sys.stderr is not None and sys.stderr.isatty()
    if not (on_screen or os.environ.get("FORCE_COLOR")):
        yield tuple(_Lines(description, then) for description in descriptions)
        return
    from simdnn.cli.bars import bars  # takes a while to import

    with bars(descriptions, then) as callbacks:
        yield callbacks


class _Lines:
    """Progress as lines; none where the work is done sooner than the first would come."""

    def __init__(self, description: str, then: str) -> None:
        self.description, self.then = description, then
        self.began = self.last = 0.0  # at the first call: what comes before is no measure of the rate
        self.first = self.furthest = 0

    def __call__(self, done: int, total: int) -> None:
        self.furthest = max(done, self.furthest)
        now = time.monotonic()
        if not self.began:
            self.began, self.last, self.first = now, now, done
        if now - self.last < EVERY or sys.stderr is None:
            return
        self.last = now
        if self.furthest >= total:
            if self.then:
                echo(self.then, err=True)
            return
        rate = (self.furthest - self.first) / (now - self.began)
        left = f", {(total - self.furthest) / rate:,.0f} s left" if rate else ""
        echo(f"{self.description}: {self.furthest:,} of {total:,}, {rate:.1f} a second{left}", err=True)
