"""Settings for the training of an auxiliary network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simdnn.errors import InputError
from simdnn.networks.loading import default_preprocess
from simdnn.training.loop import Settings
from simdnn.training.losses import LOSSES


@dataclass(frozen=True)
class Plan:
    """Settings for the training of an auxiliary network.

    Attributes
    ----------
    backbone : a classification network of torchvision
    start_weights : file of the initial weights, for any classes; None for torchvision's
    mean, std : normalisation of these weights; None for torchvision's
    sigma : standard deviation of the noise, for pixels in [0, 1]; in (0, 10)
    side : height and width of the images, in pixels; at least 16
    network_side : height and width to which the noisy image is enlarged for the network; None to leave it
    loss : one of `LOSSES`
    held_out : share of each class that measures the accuracy and is not trained on, in (0, 0.5]
    settings : hyperparameters of the training loop

    Raises
    ------
    InputError
        If a value is outside its range, or there is no such loss.
    """

    settings: Settings
    backbone: str = "resnet18"
    start_weights: Path | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    sigma: float = 0.25
    side: int = 112
    network_side: int | None = None
    loss: str = "noise"
    held_out: float = 0.2

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"expected a loss among {', '.join(LOSSES)}, got {self.loss!r}")
        if not 0 < self.sigma < 10:
            raise InputError(
                f"expected a sigma above 0, for pixels in [0, 1], such as 0.25; got {self.sigma}"
            )
        if self.side < 16:
            raise InputError(f"expected images of at least 16 pixels a side, got {self.side}")
        if not 0 < self.held_out <= 0.5:
            raise InputError(f"expected a share of (0, 0.5] to hold out, got {self.held_out}")

    @property
    def normalisation(self) -> dict[str, Any]:
        """``mean`` and ``std``, by default those of torchvision's weights."""
        default = default_preprocess(self.backbone)
        return {"mean": self.mean or default.mean, "std": self.std or default.std}

    def described(self) -> Mapping[str, Any]:
        """Return the settings as plain values, for the file and for the identity of a checkpoint."""
        options = getattr(LOSSES[self.loss], "__kwdefaults__", None) or {}
        plain = asdict(self) | self.normalisation | {"loss_options": options}
        return {name: value for name, value in plain.items() if name != "start_weights" and value is not None}
