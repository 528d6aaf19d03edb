"""Many images through one or several networks: read ahead in threads, cached, resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simdnn.errors import InputError
from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.backbone import Backbone, BackboneOutput
from simdnn.networks.batch import Batch
from simdnn.networks.cache import FeatureCache, Row
from simdnn.networks.device import chosen_device
from simdnn.networks.prepare import Copy, Image, Prepared, prepare
from simdnn.networks.votes import Draws, count_votes
from simdnn.progress import Progress

_BATCHES_AHEAD = 2

IN_CACHE = 4
"""Images that each thread of a CPU works on: more take longer each, up to twice as long, where its cache does not hold
what is between layers."""


class Extractor:
    """Runs images through networks: the features of all layers of all networks side by side.

    The logits are those of the first network. Each image is read once, whatever the number of networks. Results do
    not depend on the batch size or on how often a run was interrupted, beyond rounding.

    Parameters
    ----------
    backbones
        One or more, moved to ``device``.
    batch_size
        Images that go through the networks together.
    workers
        Threads that read and decode; default one per core, eight at most.
    device
        Default: CUDA, else MPS, else the CPU.
    cache
        Where results are kept by the hash of an image's bytes and by `fingerprint`. Pixels given as tensors are
        not kept.
    auxiliary
        A further network, which gives classes under noise, where draws are asked for. It sees the pixels of the first
        network, reduced to its own size, and no views.
    limits
        Bounds on what reading images may take.

    Attributes
    ----------
    fingerprint
        SHA-256 of all that decides the result besides the image.
    n_features, n_classes
        Widths of ``features`` and ``logits``.

    Raises
    ------
    InputError
        If an argument does not fit.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        *,
        batch_size: int = 32,
        workers: int | None = None,
        device: torch.device | str | None = None,
        cache: FeatureCache | None = None,
        auxiliary: AuxiliaryNetwork | None = None,
        limits: ReadLimits = DEFAULT_LIMITS,
    ) -> None:
        if not backbones:
            raise InputError("expected at least one backbone, got none")
        if batch_size < 1 or (workers is not None and workers < 1):
            raise InputError(f"expected batch_size and workers of at least 1, got {batch_size} and {workers}")
        self.device = chosen_device(device)
        self.backbones = [backbone.to(self.device) for backbone in backbones]
        self.auxiliary = None if auxiliary is None else auxiliary.to(self.device)
        self.batch_size = batch_size
        self.workers = workers or min(8, os.cpu_count() or 1)
        self.cache = cache
        self.limits = limits
        self.n_features = sum(backbone.n_features for backbone in backbones)
        self.n_classes = backbones[0].n_classes
        self.fingerprint = self._fingerprint((), None)

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
        if draws is not None and (self.auxiliary is None or self.auxiliary.spec.sigma <= 0):
            raise InputError(
                "expected an auxiliary network that was trained under noise, for noisy draws; got "
                f"{'none' if self.auxiliary is None else 'one without noise'}; make one: simdnn train-auxiliary"
            )
        cache = self.cache if view_key is not None or not views else None
        fingerprint = self._fingerprint(views if view_key is None else view_key, draws)
        preprocesses = [backbone.spec.preprocess for backbone in self.backbones]
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
                                preprocesses,
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
        computed = iter(self._run([one.pixels for one in new], views, draws) if new else [])
        rows = [next(computed) if one.row is None else one.row for one in sound]
        if self.cache is not None:
            self.cache.put(
                {one.key: row for one, row in zip(sound, rows, strict=True) if one.row is None and one.key}
            )
        features = _stacked([row["features"] for row in rows], (1 + len(views), self.n_features))
        logits = _stacked([row["logits"] for row in rows], (1 + len(views), self.n_classes))
        width = 0 if draws is None or self.auxiliary is None else len(self.auxiliary.spec.classes)
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
            pixels=torch.stack([one.pixels[0] for one in sound]) if pixels and sound else None,
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

    def _run(
        self, pixels: list[tuple[Tensor, ...]], views: tuple[Shift, ...], draws: Draws | None
    ) -> list[Row]:
        """Run images, each given as pixels for every network, and their views through the networks.

        One row per image: features (1 + V, d) and logits (1 + V, K), the image's own first, and the auxiliary
        network's votes (c,).
        """
        # TF32, cuDNN's default, keeps 10 bits: features would differ between devices and batch sizes
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            outputs = []
            for i, backbone in enumerate(self.backbones):
                images = torch.stack([own[i] for own in pixels]).to(self.device)
                outputs.append(_in_parts(backbone, torch.cat([images, *(view(images) for view in views)])))
            features = torch.cat([part for output in outputs for part in output.features.values()], dim=1)
            columns = [
                values.float().cpu().reshape(1 + len(views), len(pixels), -1).transpose(0, 1).numpy()
                for values in (features, outputs[0].logits)
            ]
            rows: list[Row] = [{"features": f, "logits": k} for f, k in zip(*columns, strict=True)]
            if self.auxiliary is not None and draws is not None:
                images = torch.stack([own[0] for own in pixels]).to(self.device)
                for row, votes in zip(rows, count_votes(self.auxiliary, images, draws), strict=True):
                    row["votes"] = votes
        return rows

    def _fingerprint(self, views: Sequence[Shift] | str, draws: Draws | None) -> str:
        """Name what decides a row besides the image; the views by themselves, or by what stands for them."""
        settings: dict[str, object] = {
            "networks": [backbone.identity() for backbone in self.backbones],
            "views": views if isinstance(views, str) else [view.as_dict() for view in views],
        }
        if self.auxiliary is not None and draws is not None:
            settings |= {"auxiliary": self.auxiliary.identity, "draws": draws.key}
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _in_parts(backbone: Backbone, images: Tensor) -> BackboneOutput:
    """Run a network; on a CPU a few images per thread at a time, so that what is between layers stays in its cache."""
    at_once = IN_CACHE * torch.get_num_threads() if images.device.type == "cpu" else len(images)
    outputs = [backbone(part) for part in torch.split(images, max(at_once, 1))]
    return BackboneOutput(
        torch.cat([output.logits for output in outputs]),
        {layer: torch.cat([output.features[layer] for output in outputs]) for layer in backbone.layers},
    )


def _stacked(rows: list[NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)
