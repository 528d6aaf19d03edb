"""A backbone as a plain classifier, for attacks."""

from __future__ import annotations

from torch import Tensor, nn


class Classifier(nn.Module):
    """A backbone that returns its logits only, without the features."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of images (N, 3, H, W) in [0, 1]."""
        logits: Tensor = self.backbone(images).logits
        return logits
