"""How much is accepted: images in flight in all, and images a minute from each token."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from simdnn.service.metrics import Metrics
from simdnn.service.problems import Problem


class Room:
    """Bounds the images that were accepted and are not yet answered; used on the event loop alone.

    Parameters
    ----------
    most : images
    metrics : told the number, and what is refused
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self.most = most
        self.held = 0
        self._metrics = metrics

    @contextmanager
    def holding(self, images: int) -> Iterator[None]:
        """Take room for images until the block ends; a 503 problem if there is not enough."""
        if self.held + images > self.most:
            self._metrics.refused.labels("queue").inc()
            raise Problem(
                503,
                f"expected room for {images} more images, {self.held} of {self.most} are being checked; ask again soon",
                {"Retry-After": "1"},
            )
        self.held += images
        self._metrics.queue_length.set(self.held)
        try:
            yield
        finally:
            self.held -= images
            self._metrics.queue_length.set(self.held)


@dataclass
class _Bucket:
    """What a token may still ask for, and when that was true."""

    left: float
    time: float


class Rate:
    """Bounds the images that each token may ask about in a minute, at first all at once: a token bucket.

    Parameters
    ----------
    per_minute : images; 0 for no bound
    metrics : told what is refused
    """

    def __init__(self, per_minute: float, metrics: Metrics) -> None:
        self.per_minute = per_minute
        self._metrics = metrics
        self._buckets: dict[str, _Bucket] = {}

    def spend(self, name: str, images: int) -> None:
        """Count images of a token; a 429 problem if they are too many."""
        if not self.per_minute:
            return
        now = time.monotonic()
        bucket = self._buckets.setdefault(name, _Bucket(self.per_minute, now))
        bucket.left = min(self.per_minute, bucket.left + (now - bucket.time) * self.per_minute / 60)
        bucket.time = now
        if images <= bucket.left:
            bucket.left -= images
            return
        self._metrics.refused.labels("rate").inc()
        wait = math.ceil((min(images, self.per_minute) - bucket.left) * 60 / self.per_minute)
        raise Problem(
            429,
            f"expected at most {self.per_minute:g} images a minute of one token, got {images} more; ask again later",
            {"Retry-After": str(max(wait, 1))},
        )
