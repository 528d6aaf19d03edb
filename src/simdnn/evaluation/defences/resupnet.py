"""ResUpNet: Pestana and others, "Adversarial perturbations prevail in the Y-channel", IJCNN 2021.

The authors published the architecture, but neither loss nor data; :mod:`simdnn.training.resupnet` trains it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import resnet18

from simdnn.errors import InputError, WeightsError
from simdnn.networks.weights import fit_weights, read_weights

SIDE = 224
"""Height and width of the denoiser's input; other images are resized to it, and its result is resized back."""

NOISE = 0.005
"""Largest value of the uniform noise that is added to the luminance."""

TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""ITU-R BT.601 at full range, as JPEG has it, chroma about 0."""


def to_ycbcr(images: Tensor) -> Tensor:
    """Convert RGB (N, 3, H, W) in [0, 1] to luminance in [0, 1] and chroma in [-0.5, 0.5]."""
    return torch.einsum("ij,njhw->nihw", images.new_tensor(TO_YCBCR), images)


def to_rgb(images: Tensor) -> Tensor:
    """Undo :func:`to_ycbcr`."""
    back = torch.linalg.inv(torch.tensor(TO_YCBCR, dtype=torch.float64)).to(images)
    return torch.einsum("ij,njhw->nihw", back, images)


class _Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.body(maps))


def _up(channels_in: int, channels_out: int, scale: int = 2) -> nn.Sequential:
    """Return two residual blocks, followed by upsampling by ``scale`` with pixel shuffle."""
    return nn.Sequential(
        _Residual(channels_in),
        _Residual(channels_in),
        nn.Conv2d(channels_in, channels_in, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out * scale**2, 3, padding=1),
        nn.PixelShuffle(scale),
    )


class Denoiser(nn.Module):
    """Estimates the luminance of the clean image from the attacked image.

    The encoder, a ResNet-18 trained on ImageNet, takes the RGB image without normalisation and is frozen.
    """

    def __init__(self) -> None:
        super().__init__()
        whole = resnet18(weights=None)
        stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool)
        stages = [whole.layer1, whole.layer2, whole.layer3, whole.layer4]
        self.encoder = nn.ModuleList([nn.Sequential(stem, stages[0]), *stages[1:]])
        self.encoder.requires_grad_(False)
        self.start = nn.Conv2d(SIDE * SIDE // 64, 512, 2)
        self.blocks = nn.ModuleList(
            [_up(1024, 256), _up(512, 128), _up(256, 64), _up(128, 64), _up(64, 32), _up(32, 1, scale=1)]
        )

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Return the luminance (N, 1, 224, 224) of images (N, 3, 224, 224) in [0, 1].

        ``noise`` (N, 1, 224, 224) in [0, 1] is added to the luminance, `NOISE` at most.
        """
        return self.decoded(*self.encoded(images, noise))

    def encoded(self, images: Tensor, noise: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return where the decoder starts (N, 512, 7, 7), and the maps of the encoder's stages, from 56 to 7 a side."""
        maps: Tensor = images
        skips: list[Tensor] = []
        for stage in self.encoder:
            maps = stage(maps)
            skips.append(maps)
        luminance = (to_ycbcr(images)[:, :1] + NOISE * noise).clamp(0, 1)
        return self.start(luminance.reshape(len(images), -1, 8, 8)), skips

    def decoded(self, maps: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Return the luminance of what was encoded, or of a part of the images from the same part of all maps."""
        for number, block in enumerate(self.blocks):
            maps = block(torch.cat([maps, skips[-1 - number]], dim=1) if number < len(skips) else maps)
        return maps

    def train(self, mode: bool = True) -> Denoiser:
        """Keep the encoder in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self


class ResUpNet(nn.Module):
    """A network that denoises the luminance of every image first, and keeps its chroma.

    Differentiable, so that attacks can differentiate through it. The noise is one fixed draw, so that runs agree.
    Images of another size than `SIDE` are resized for the denoiser, and only its luminance is resized back. Chroma is
    that of the original image, except that colours outside RGB are clipped.

    Parameters
    ----------
    network : images (N, 3, H, W) in [0, 1] to logits
    denoiser : trained
    """

    noise: Tensor

    def __init__(self, network: nn.Module, denoiser: Denoiser) -> None:
        super().__init__()
        self.network = network
        self.denoiser = denoiser
        draw = torch.Generator().manual_seed(0)
        self.register_buffer("noise", torch.rand(1, 1, SIDE, SIDE, generator=draw), persistent=False)
        self.eval()

    def denoised(self, images: Tensor) -> Tensor:
        """Return images (N, 3, H, W) in [0, 1] with their luminance denoised; InputError for another shape."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"expected images of shape (N, 3, H, W), got {tuple(images.shape)}")
        large = _resized(images, SIDE, SIDE)
        luminance = self.denoiser(large, self.noise.expand(len(images), -1, -1, -1))
        luminance = _resized(luminance, *images.shape[-2:])
        return to_rgb(torch.cat([luminance, to_ycbcr(images)[:, 1:]], dim=1)).clamp(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the denoised images."""
        logits: Tensor = self.network(self.denoised(images))
        return logits


def load_denoiser(path: Path) -> Denoiser:
    """Read a trained denoiser.

    Raises
    ------
    WeightsError
        If the file is missing or does not fit.
    """
    if not path.exists():
        raise WeightsError(
            f"expected ResUpNet's weights in {path}; make them: python -m simdnn.training.resupnet"
        )
    denoiser = Denoiser()
    fit_weights(denoiser, read_weights(path), str(path))
    return denoiser.float().eval()


def encoder_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ResNet-18's weights to the encoder's."""
    renamed = OrderedDict[str, Tensor]()
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part in ("conv1", "bn1"):
            renamed[f"0.0.{('conv1', 'bn1').index(part)}.{rest}"] = tensor
        elif part == "layer1":
            renamed[f"0.1.{rest}"] = tensor
        elif part.startswith("layer"):
            renamed[f"{int(part[5:]) - 1}.{rest}"] = tensor
    return dict(renamed)


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    if images.shape[-2:] == (height, width):
        return images
    return interpolate(images, size=(height, width), mode="bilinear", antialias=True)
