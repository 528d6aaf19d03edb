"""A guarded network as an ordinary classifier, for attacks that know nothing of detectors.

Its true class stands for rejection: a flagged image counts as correctly classified, so that such an attack must bring
it past network and detector together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from simdnn.attacks.adaptive.module import GuardedModel, rejection_logit


class DecisionModel(nn.Module):
    """The decisions of network and detector in use, as one-hot logits: all that a decision-based attack sees.

    Parameters
    ----------
    guarded : network and detector
    threshold : threshold of the detector
    label : the true output of all images that it gets
    """

    def __init__(self, guarded: GuardedModel, threshold: float, label: int) -> None:
        super().__init__()
        self.guarded, self.threshold, self.label = guarded, threshold, label
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, K) for images (N, 3, H, W) in [0, 1]."""
        output = self.guarded.deployed(images)
        predicted = torch.where(output.score >= self.threshold, output.logits.argmax(dim=1), self.label)
        return one_hot(predicted, output.logits.shape[1]).to(output.logits.dtype)


class LogitModel(nn.Module):
    """The logits, that of the true class raised to the logit of rejection: differentiable.

    Parameters
    ----------
    guarded, threshold, label : as for :class:`DecisionModel`
    """

    def __init__(self, guarded: GuardedModel, threshold: float, label: int) -> None:
        super().__init__()
        self.guarded, self.threshold, self.label = guarded, threshold, label
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, K) for images (N, 3, H, W) in [0, 1]."""
        output = self.guarded(images)
        true = torch.maximum(output.logits[:, self.label], rejection_logit(output, self.threshold))
        columns = torch.arange(output.logits.shape[1], device=output.logits.device)
        return torch.where(columns == self.label, true[:, None], output.logits)
