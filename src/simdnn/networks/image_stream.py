"""Many images through one or several networks, whatever runs the networks: read ahead in threads, cached, resumable."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits
from simdnn.images.preprocess import Preprocess
from simdnn.images.shifts import Shift
from simdnn.networks.batch import Batch
from simdnn.networks.cache import FeatureCache, Row
from simdnn.networks.draws import Draws
from simdnn.networks.prepare import Copy, Image, Prepared, prepare
from simdnn.networks.voter import Pixels, Voter
from simdnn.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

_BATCHES_AHEAD = 2


class ImageStream(ABC):
    """Runs images through networks: the features of all layers of all networks side by side.

    The logits are those of the first network. Each image is read once, whatever the number of networks. Results do
    not depend on the batch size or on how often a run was interrupted, beyond rounding.

    Parameters
    ----------
    preprocesses
        How images are brought to the input of each network, at least one.
    n_features, n_classes
        Widths of ``features`` and ``logits``.
    batch_size
        Images that go through the networks together.
    workers
        Threads that read and decode; default one per core, eight at most.
    cache
        Where results are kept by the hash of an image's bytes and by what `fingerprint_of` gives. Pixels given as
        arrays are not kept.
    voter
        A further network, which gives classes under noise, where draws are asked for. It sees the pixels of the first
        network, reduced to its own size, and no views.
    limits
        Bounds on what reading images may take.

    Raises
    ------
    InputError
        If an argument does not fit.
    """

    def __init__(
        self,
        preprocesses: Sequence[Preprocess],
        n_features: int,
        n_classes: int,
        *,
        batch_size: int = 32,
        workers: int | None = None,
        cache: FeatureCache | None = None,
        voter: Voter | None = None,
        limits: ReadLimits = DEFAULT_LIMITS,
    ) -> None:
        if batch_size < 1 or (workers is not None and workers < 1):
            raise InputError(f"expected batch_size and workers of at least 1, got {batch_size} and {workers}")
        self.preprocesses = tuple(preprocesses)
        self.n_features = n_features
        self.n_classes = n_classes
        self.batch_size = batch_size
        self.workers = workers or min(8, os.cpu_count() or 1)
        self.cache = cache
        self.voter = voter
        self.limits = limits

    @abstractmethod
    def run(self, pixels: Sequence[tuple[Pixels, ...]], views: tuple[Shift, ...]) -> list[Row]:
        """Run images, each given as pixels (3, H, W) for every network, and their views through the networks.

        One row per image: ``features`` (1 + V, d) and ``logits`` (1 + V, K), the image's own first.
        """

    @abstractmethod
    def fingerprint_of(self, views: Sequence[Shift] | str, draws: Draws | None) -> str:
        """Name what decides a row besides the image; the views by themselves, or by what stands for them."""

    def stream(
        self,
        images: Sequence[Image] | Tensor,
        *,
        views: Sequence[Shift] = (),
        view_key: str | None = None,
        draws: Draws | None = None,
        copies: Mapping[int, Copy] | None = None,
        pixels: bool = False,
        keep_bytes: bool = False,
    ) -> Generator[Batch, None, None]:
        """Yield the results batch by batch, in the images' order.

        Threads read and decode up to two batches ahead; they end with the iterator. Images that cannot be read are
        reported in `Batch.errors` and never stop the run. New results are in the cache before they are yielded.

        Parameters
        ----------
        images
            Files, files' bytes, or pixels; or a tensor (N, 3, H, W) of pixels.
        views
            Harmless shifts of each image that go through the networks with it, in one batch.
        view_key
            Stands for the views in the keys of the cache, from which views could be guessed; without one, rows with
            views are not cached.
        draws
            Noise under which the auxiliary network gives its classes; none without one.
        copies
            By position, a corrupted copy that goes through the networks with an image, after it.
        pixels
            Give the pixels too; cached images are then read as well.
        keep_bytes
            Give the files' bytes, too: those that the results are about, whatever happens to the file meanwhile.

        Raises
        ------
        InputError
            If the cache fails, or there are draws and no auxiliary network under noise.
        """
        views = tuple(views)
        if draws is not None and (self.voter is None or self.voter.sigma <= 0):
            raise InputError(
                "expected an auxiliary network that was trained under noise, for noisy draws; got "
                f"{'none' if self.voter is None else 'one without noise'}; make one: simdnn train-auxiliary"
            )
        cache = self.cache if view_key is not None or not views else None
        fingerprint = self.fingerprint_of(views if view_key is None else view_key, draws)
        starts = range(0, len(images), self.batch_size)
        ahead: deque[list[Future[list[Prepared]]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="simdnn-read")
        try:
            for number in range(len(starts)):
                for later in starts[number + len(ahead) : number + 1 + _BATCHES_AHEAD]:
                    stop = min(later + self.batch_size, len(images))
                    ahead.append(
                        [
                            pool.submit(
                                prepare,
                                images[i],
                                i,
                                self.preprocesses,
                                copy=(copies or {}).get(i),
                                cache=cache,
                                fingerprint=fingerprint,
                                pixels=pixels,
                                keep_bytes=keep_bytes,
                                limits=self.limits,
                            )
                            for i in range(later, stop)
                        ]
                    )
                ready = chain.from_iterable(future.result() for future in ahead.popleft())
                yield self.run_prepared(list(ready), views, draws, pixels, keep_bytes)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def run_prepared(
        self,
        prepared: list[Prepared],
        views: tuple[Shift, ...],
        draws: Draws | None,
        pixels: bool = False,
        keep_bytes: bool = False,
    ) -> Batch:
        """Run images that :func:`simdnn.networks.prepare.prepare` made ready, as one batch of `stream`."""
        sound = [one for one in prepared if one.error is None]
        new = [one for one in sound if one.row is None]
        computed = iter(self._rows([one.pixels for one in new], views, draws) if new else [])
        rows = [next(computed) if one.row is None else one.row for one in sound]
        if self.cache is not None:
            self.cache.put(
                {one.key: row for one, row in zip(sound, rows, strict=True) if one.row is None and one.key}
            )
        features = _stacked([row["features"] for row in rows], (1 + len(views), self.n_features))
        logits = _stacked([row["logits"] for row in rows], (1 + len(views), self.n_classes))
        width = 0 if draws is None or self.voter is None else len(self.voter.classes)
        votes = np.stack([row["votes"] for row in rows]) if rows and width else np.empty((len(rows), width))
        return Batch(
            positions=np.array([one.position for one in sound], np.int64),
            features=features[:, 0],
            logits=logits[:, 0],
            view_features=features[:, 1:],
            view_logits=logits[:, 1:],
            votes=votes.astype(np.int64),
            corruption=tuple(one.corruption for one in sound),
            image_sha256=tuple(one.image_sha256 for one in sound),
            image_bytes=tuple(one.data for one in sound) if keep_bytes else (),
            errors={one.position: one.error for one in prepared if one.error is not None},
            pixels=np.stack([one.pixels[0] for one in sound]) if pixels and sound else None,
        )

    def extract(
        self,
        images: Sequence[Image] | Tensor,
        progress: Progress | None = None,
        *,
        views: Sequence[Shift] = (),
        view_key: str | None = None,
        draws: Draws | None = None,
        copies: Mapping[int, Copy] | None = None,
    ) -> Batch:
        """Run all images; as `stream`, gathered.

        Parameters
        ----------
        images, views, view_key, draws, copies
            As for `stream`.
        progress
            Called after each batch.
        """
        batches = [self.run_prepared([], tuple(views), draws)]  # nothing, in the right shapes
        done = 0
        for batch in self.stream(images, views=views, view_key=view_key, draws=draws, copies=copies):
            batches.append(batch)
            done = min(done + self.batch_size, len(images))
            if progress is not None:
                progress(done, len(images))
        return Batch.joined(batches)

    def _rows(
        self, pixels: Sequence[tuple[Pixels, ...]], views: tuple[Shift, ...], draws: Draws | None
    ) -> list[Row]:
        """Run images, and have them voted on where there are draws: a row then has the ``votes`` (c,), too."""
        rows = self.run(pixels, views)
        if self.voter is not None and draws is not None:
            votes = self.voter.count(np.stack([own[0] for own in pixels]), draws)
            for row, counts in zip(rows, votes, strict=True):
                row["votes"] = counts
        return rows


def _stacked(rows: list[NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)
