"""Many images through one or several networks: read ahead in threads, cached, resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from simdnn.errors import ImageReadError, InputError
from simdnn.images.reading import read_bytes, read_image
from simdnn.images.shifts import View
from simdnn.networks.backbone import Backbone, BackboneOutput
from simdnn.networks.cache import FeatureCache, Row
from simdnn.networks.device import chosen_device
from simdnn.progress import Progress

Image: TypeAlias = Path | str | bytes | Tensor
"""A file, a file's bytes, or pixels (3, H, W) in [0, 1] of the size that the network takes."""

_BATCHES_AHEAD = 2

IN_CACHE = 4
"""Images that each thread of a CPU works on: more take longer each, up to twice as long, where its cache does not hold
what is between layers."""


@dataclass(frozen=True)
class Batch:
    """What came of some consecutive images.

    Attributes
    ----------
    positions
        Shape (n,), of the images that were read, in the given list.
    features, logits
        Shapes (n, d) and (n, K), float32.
    view_features, view_logits
        The same for the V views of each image that were asked for: (n, V, d) and (n, V, K).
    witness_logits
        Shape (n, w), float32, of the witness; w = 0 without one.
    errors
        Why the other images were not read, by position.
    pixels
        Shape (n, 3, H, W), in [0, 1], as the first network takes them, on the CPU; None unless asked for.
    """

    positions: NDArray[np.int64]
    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    view_features: NDArray[np.float32]
    view_logits: NDArray[np.float32]
    witness_logits: NDArray[np.float32]
    errors: dict[int, str]
    pixels: Tensor | None = None


@dataclass(frozen=True)
class Extraction:
    """What came of all images.

    Attributes
    ----------
    features, logits, view_features, view_logits, witness_logits
        Shapes (n, d), (n, K), (n, V, d), (n, V, K) and (n, w), float32.
    index
        Shape (n,), the positions, in the given list, of the images that were read.
    errors
        Why the other images were not read, by position.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    view_features: NDArray[np.float32]
    view_logits: NDArray[np.float32]
    witness_logits: NDArray[np.float32]
    index: NDArray[np.int64]
    errors: dict[int, str]


@dataclass(frozen=True)
class _Prepared:
    """One image before the network: its pixels for each network, what the cache has of it, or what is wrong."""

    pixels: tuple[Tensor, ...] = ()
    key: str | None = None
    row: Row | None = None
    error: str | None = None


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
    witness
        A further network, whose features are kept apart. It sees the pixels of the first network, resized to its own
        size, and no views.
    autocast
        ``torch.float16`` or ``torch.bfloat16`` for quicker, less exact passes; on CUDA only.

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
        witness: Backbone | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        if not backbones:
            raise InputError("expected at least one backbone, got none")
        if batch_size < 1 or (workers is not None and workers < 1):
            raise InputError(f"expected batch_size and workers of at least 1, got {batch_size} and {workers}")
        self.device = chosen_device(device)
        if autocast is not None and (
            autocast not in (torch.float16, torch.bfloat16) or self.device.type != "cuda"
        ):
            raise InputError(
                "expected autocast None, or torch.float16 or torch.bfloat16 on a CUDA device, got "
                f"{autocast} on {self.device}"
            )
        self.backbones = [backbone.to(self.device) for backbone in backbones]
        self.witness = None if witness is None else witness.to(self.device)
        self.batch_size = batch_size
        self.workers = workers or min(8, os.cpu_count() or 1)
        self.cache = cache
        self.autocast = autocast
        self.n_features = sum(backbone.n_features for backbone in backbones)
        self.n_classes = backbones[0].n_classes
        self.fingerprint = self._fingerprint()

    def stream(
        self, images: Sequence[Image] | Tensor, *, views: Sequence[View] = (), pixels: bool = False
    ) -> Generator[Batch, None, None]:
        """Yield the results batch by batch, in the images' order.

        Threads read and decode up to two batches ahead; they end with the iterator. Images that cannot be read are
        reported in `Batch.errors` and never stop the run. New results are in the cache before they are yielded.

        Parameters
        ----------
        images
            Files, files' bytes, or pixels; or a tensor (N, 3, H, W) of pixels.
        views
            Harmless changes of each image that go through the networks with it, in one batch.
        pixels
            Give the pixels too; cached images are then read as well.

        Raises
        ------
        InputError
            If the cache fails.
        """
        views = tuple(views)
        fingerprint = self._fingerprint(views)
        starts = range(0, len(images), self.batch_size)
        ahead: deque[list[Future[_Prepared]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="simdnn-read")
        try:
            for number, start in enumerate(starts):
                for later in starts[number + len(ahead) : number + 1 + _BATCHES_AHEAD]:
                    stop = min(later + self.batch_size, len(images))
                    ahead.append(
                        [
                            pool.submit(self._prepare, images[i], fingerprint, pixels)
                            for i in range(later, stop)
                        ]
                    )
                yield self._finish(start, [future.result() for future in ahead.popleft()], views, pixels)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def extract(
        self,
        images: Sequence[Image] | Tensor,
        progress: Progress | None = None,
        *,
        views: Sequence[View] = (),
    ) -> Extraction:
        """Run all images; as `stream`, gathered.

        Parameters
        ----------
        images, views
            As for `stream`.
        progress
            Called after each batch.
        """
        batches = [self._finish(0, [], tuple(views), pixels=False)]  # nothing, in the right shapes
        errors: dict[int, str] = {}
        done = 0
        for batch in self.stream(images, views=views):
            batches.append(batch)
            errors |= batch.errors
            done += len(batch.positions) + len(batch.errors)
            if progress is not None:
                progress(done, len(images))
        return Extraction(
            features=np.concatenate([batch.features for batch in batches]),
            logits=np.concatenate([batch.logits for batch in batches]),
            view_features=np.concatenate([batch.view_features for batch in batches]),
            view_logits=np.concatenate([batch.view_logits for batch in batches]),
            witness_logits=np.concatenate([batch.witness_logits for batch in batches]),
            index=np.concatenate([batch.positions for batch in batches]),
            errors=errors,
        )

    def _prepare(self, image: Image, fingerprint: str, pixels: bool) -> _Prepared:
        """Bring one image to where the network, or nothing, is left to do; runs in a thread."""
        try:
            if isinstance(image, Tensor):
                return _Prepared(tuple(_checked(image, b.spec.preprocess.size) for b in self.backbones))
            data = image if isinstance(image, bytes) else read_bytes(Path(image))
            key = row = None
            if self.cache is not None:
                key = f"{hashlib.sha256(data).hexdigest()}:{fingerprint}"
                row = self.cache.get(key)
            if row is not None and not pixels:
                return _Prepared(row=row)
            picture = read_image(data)
            return _Prepared(tuple(b.spec.preprocess(picture) for b in self.backbones), key, row)
        except ImageReadError as error:
            return _Prepared(error=str(error))

    def _finish(self, start: int, prepared: list[_Prepared], views: tuple[View, ...], pixels: bool) -> Batch:
        """Run what the cache does not have, keep it, and put the batch together."""
        sound = {start + i: p for i, p in enumerate(prepared) if p.error is None}
        new = {position: p for position, p in sound.items() if p.row is None}
        rows = {position: p.row for position, p in sound.items() if p.row is not None}
        if new:
            computed = self._run([p.pixels for p in new.values()], views)
            rows |= dict(zip(new, computed, strict=True))
            if self.cache is not None:
                self.cache.put({p.key: rows[position] for position, p in new.items() if p.key is not None})
        features = _stacked([rows[i]["features"] for i in sound], (1 + len(views), self.n_features))
        logits = _stacked([rows[i]["logits"] for i in sound], (1 + len(views), self.n_classes))
        witnessed = np.empty((len(sound), 0), np.float32)
        if self.witness is not None:
            witnessed = _stacked([rows[i]["witness"] for i in sound], (self.witness.n_classes,))
        return Batch(
            positions=np.array(list(sound), np.int64),
            features=features[:, 0],
            logits=logits[:, 0],
            view_features=features[:, 1:],
            view_logits=logits[:, 1:],
            witness_logits=witnessed,
            errors={start + i: p.error for i, p in enumerate(prepared) if p.error is not None},
            pixels=torch.stack([p.pixels[0] for p in sound.values()]) if pixels and sound else None,
        )

    def _run(self, pixels: list[tuple[Tensor, ...]], views: tuple[View, ...]) -> list[Row]:
        """Run images, each given as pixels for every network, and their views through the networks.

        One row per image: features (1 + V, d) and logits (1 + V, K), the image's own first, and what the witness gives.
        """
        half = torch.autocast("cuda", self.autocast) if self.autocast is not None else nullcontext()
        # TF32, cuDNN's default, keeps 10 bits: features would differ between devices and batch sizes
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), half, exact:
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
            if self.witness is not None:
                images = torch.stack([own[0] for own in pixels]).to(self.device)
                for row, seen in zip(
                    rows, witnessed(self.witness, images).float().cpu().numpy(), strict=True
                ):
                    row["witness"] = seen
        return rows

    def _fingerprint(self, views: tuple[View, ...] = ()) -> str:
        settings: dict[str, object] = {
            "networks": [_identity(backbone) for backbone in self.backbones],
            "autocast": str(self.autocast),
            "views": [view.as_dict() for view in views],
        }
        if self.witness is not None:
            settings["witness"] = _identity(self.witness)
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


def witnessed(witness: Backbone, images: Tensor) -> Tensor:
    """Return the logits (N, w) of a witness for images (N, 3, H, W) in [0, 1], at the size of another network."""
    size = witness.spec.preprocess.size
    if images.shape[-2:] != size:
        images = interpolate(images, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    logits: Tensor = witness(images).logits
    return logits


def _identity(backbone: Backbone) -> dict[str, object]:
    """Return what decides a network's features."""
    return {
        "name": backbone.spec.name,
        "weights": backbone.weights_hash,
        "layers": backbone.layers,
        "preprocess": backbone.spec.preprocess.as_dict(),
    }


def _checked(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pixels (3, height, width) as float32 on the CPU; ImageReadError if they are anything else."""
    if pixels.shape != (3, *size) or not pixels.is_floating_point():
        raise ImageReadError(
            f"expected floating-point pixels of shape {(3, *size)}, got {pixels.dtype} {tuple(pixels.shape)}"
        )
    pixels = pixels.detach().float().cpu()
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # written so that NaN fails too
        raise ImageReadError(f"expected pixels in [0, 1], got {pixels.min():.3g} to {pixels.max():.3g}")
    return pixels


def _stacked(rows: list[NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)
