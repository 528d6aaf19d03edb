"""A small network that classifies 32 x 32 images of digits, for the demonstration and for tests."""

from __future__ import annotations

from torch import Tensor, nn

SIDE = 32
"""Height and width of an image of a digit, in pixels."""


class DigitsNet(nn.Module):
    """Three convolutions of stride 2, a layer of 96 features, and one output per digit.

    ``forward`` takes images (N, 3, 32, 32) in [0, 1] and gives logits (N, 10).
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(3, 16),
            *_convolution(16, 32),
            *_convolution(32, 64),
            nn.Flatten(),
            nn.Linear(64 * (SIDE // 8) ** 2, 96),
            nn.ReLU(),
        )
        self.head = nn.Linear(96, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.features(images))
        return logits


def digits_network() -> DigitsNet:
    """Return the untrained network; the factory for ``--backbone simdnn.networks.digits:digits_network``."""
    return DigitsNet()


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Return a convolution that halves height and width, with batch norm and ReLU."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]
