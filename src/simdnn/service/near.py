"""Near-duplicate queries: who searches for an image that passes asks about many that are almost the same.

The stateful defence of Chen, Carlini and Wagner (2020), with the perceptual hash of Zauner (2010) as in ImageHash in
place of a learned encoder.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from PIL import Image

from simdnn.networks.voter import Pixels

MOST = 4096
"""Queries of one token that are remembered."""


def perceptual_hash(pixels: Pixels) -> int:
    """Return the 64 bits of the perceptual hash of (3, H, W) pixels in [0, 1]."""
    import imagehash

    picture = Image.fromarray((pixels * 255).round().astype(np.uint8).transpose(1, 2, 0))
    return int(str(imagehash.phash(picture)), 16)


@dataclass(frozen=True)
class Query:
    """A query: when it was made, the perceptual hash of its image, and what tells its bytes from others."""

    time: float
    hash: int
    bytes_key: str


class NearDuplicates:
    """Remembers the latest queries of each token, and raises an alarm at many that are nearly the same.

    The very same bytes sent again, as after a broken connection, do not count: their verdict is known.

    Parameters
    ----------
    number : earlier queries within the distance that raise an alarm; 0 for none
    distance : bits of 64 in which two hashes differ at most
    window : seconds after which a query is forgotten, and an alarm may be raised again
    """

    def __init__(self, number: int, distance: int, window: float) -> None:
        self.number = number
        self.distance = distance
        self.window = window
        self._queries: dict[str, deque[Query]] = {}
        self._alarmed: dict[str, float] = {}

    def observe(self, token: str, seen: int, bytes_key: str, now: float | None = None) -> int | None:
        """Take in a query; return the number of near-duplicates before it if that raises an alarm, else None.

        Parameters
        ----------
        token : whose query it is
        seen : perceptual hash of its image
        bytes_key : equal for the same bytes alone
        now : time in seconds, of a clock that is never set back
        """
        now = time.monotonic() if now is None else now
        queries = self._queries.setdefault(token, deque(maxlen=MOST))
        while queries and queries[0].time < now - self.window:
            queries.popleft()
        found = self._near(queries, seen, bytes_key)
        queries.append(Query(now, seen, bytes_key))
        quiet = now - self._alarmed.get(token, -np.inf) >= self.window
        if not self.number or found < self.number or not quiet:
            return None
        self._alarmed[token] = now
        return found

    def _near(self, queries: deque[Query], seen: int, bytes_key: str) -> int:
        """Count the different images, other than this one, whose hashes are near."""
        if not queries:
            return 0
        hashes = np.array([query.hash for query in queries], dtype=np.uint64)
        near = np.bitwise_count(hashes ^ np.uint64(seen)) <= self.distance
        keys = {queries[i].bytes_key for i in np.flatnonzero(near)}
        return len(keys - {bytes_key})
