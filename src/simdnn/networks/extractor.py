"""Many images through one or several networks, by PyTorch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from simdnn.errors import InputError
from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.backbone import Backbone, BackboneOutput
from simdnn.networks.cache import FeatureCache, Row
from simdnn.networks.device import chosen_device
from simdnn.networks.draws import Draws
from simdnn.networks.image_stream import ImageStream
from simdnn.networks.voter import Pixels
from simdnn.networks.votes import TorchVoter

IN_CACHE = 4
"""Images that each thread of a CPU works on: more take longer each, up to twice as long, where its cache does not hold
what is between layers."""


class Extractor(ImageStream):
    """Runs images through networks by PyTorch.

    Parameters
    ----------
    backbones
        One or more, moved to ``device``.
    device
        Default: CUDA, else MPS, else the CPU.
    auxiliary
        A further network, which gives classes under noise.
    batch_size, workers, cache, limits
        See :class:`simdnn.networks.image_stream.ImageStream`.

    Attributes
    ----------
    fingerprint
        SHA-256 of all that decides the result besides the image.

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
        self.device = chosen_device(device)
        self.backbones = [backbone.to(self.device) for backbone in backbones]
        self.auxiliary = None if auxiliary is None else auxiliary.to(self.device)
        preprocesses = [backbone.spec.preprocess for backbone in backbones]
        super().__init__(
            preprocesses,
            sum(backbone.n_features for backbone in backbones),
            backbones[0].n_classes,
            batch_size=batch_size,
            workers=workers,
            cache=cache,
            voter=None if self.auxiliary is None else TorchVoter(self.auxiliary, preprocesses[0].size),
            limits=limits,
        )
        self.fingerprint = self.fingerprint_of((), None)

    def run(self, pixels: Sequence[tuple[Pixels, ...]], views: tuple[Shift, ...]) -> list[Row]:
        """Run images and their views, see :meth:`ImageStream.run`."""
        # TF32, cuDNN's default, keeps 10 bits: features would differ between devices and batch sizes
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            outputs = []
            for i, backbone in enumerate(self.backbones):
                images = torch.from_numpy(np.stack([own[i] for own in pixels])).to(self.device)
                seen = torch.cat([images, *(view(images) for view in views)]) if views else images
                outputs.append(_in_parts(backbone, seen))
            features = torch.cat([part for output in outputs for part in output.features.values()], dim=1)
            columns = [
                values.float().cpu().reshape(1 + len(views), len(pixels), -1).transpose(0, 1).numpy()
                for values in (features, outputs[0].logits)
            ]
        return [{"features": f, "logits": k} for f, k in zip(*columns, strict=True)]

    def fingerprint_of(self, views: Sequence[Shift] | str, draws: Draws | None) -> str:
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
