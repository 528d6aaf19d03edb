"""What auxiliary network to train, and how."""

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
    """What to train, and how.

    Attributes
    ----------
    backbone : a classification network of torchvision
    start_weights : its weights to start from, with any classes; None takes torchvision's own
    mean, std : what these weights take; None for what torchvision's take
    sigma : standard deviation of the noise, for pixels in [0, 1]
    side : height and width of the images that the network takes
    loss : one of `LOSSES`
    held_out : share of each class that is not learned and measures the accuracy
    settings : of the loop
    """

    settings: Settings
    backbone: str = "resnet18"
    start_weights: Path | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    sigma: float = 0.25
    side: int = 112
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
        """Mean and deviation: those that are given, else those of torchvision's weights."""
        usual = default_preprocess(self.backbone)
        return {"mean": self.mean or usual.mean, "std": self.std or usual.std}

    def described(self) -> Mapping[str, Any]:
        """Return the settings as plain values, for the file and to tell whether a checkpoint is of this plan."""
        options = getattr(LOSSES[self.loss], "__kwdefaults__", None) or {}
        plain = asdict(self) | self.normalisation | {"loss_options": options}
        return {name: value for name, value in plain.items() if name != "start_weights"}
