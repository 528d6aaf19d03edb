"""What a guard computes, as PyTorch modules to export."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simdnn.guard.guard import Guard
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.backbone import Backbone
from simdnn.networks.reduction import reduced
from simdnn.rules.inputs import RuleInput
from simdnn.rules.view_statistics import compare_views

OFFSET = "offset"
"""Name of the threshold among the graph's constants, by which it can be replaced."""


class GuardGraph(nn.Module):
    """Images for each network to features, logits and those of their views, score and decision.

    Attributes
    ----------
    outputs : names of what :meth:`forward` returns, in order. ``score`` and ``attack`` are among them where the guard's
        own rule looks at no noise, and its threshold does not move along the stream
    """

    offset: Tensor
    prototypes: Tensor
    variances: Tensor

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(guard.extractor.backbones)
        self.views: tuple[Shift, ...] = guard.rule.views
        self.rule = guard.rule
        self.decides = not guard.rule.uses_auxiliary and guard.rule.name != "published"
        self.outputs = ["features", "logits"]
        self.outputs += ["view_features", "view_logits"] if self.views else []
        self.outputs += ["score", "attack"] if self.decides else []
        self.register_buffer(OFFSET, torch.tensor(guard.threshold(), dtype=torch.float64))
        known = guard.model.prototypes
        self.register_buffer("prototypes", torch.from_numpy(known.vectors))
        self.register_buffer("variances", torch.from_numpy(known.variances))

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """Return what `outputs` names, for images (N, 3, H, W) in [0, 1] at the size of each network."""
        n = images[0].shape[0]
        parts, logits = [], []
        for backbone, own in zip(self.backbones, images, strict=True):
            assert isinstance(backbone, Backbone)
            output = backbone(torch.cat([own, *(view(own) for view in self.views)]))
            parts += [part.float() for part in output.features.values()]
            logits.append(output.logits.float())
        features = torch.cat(parts, dim=1)
        both = [values.unflatten(0, (1 + len(self.views), n)) for values in (features, logits[0])]
        given = (both[0][0], both[1][0])
        of_views = tuple(values[1:].transpose(0, 1) for values in both if self.views)
        if not self.decides:
            return given + of_views
        score = self._score(*given, of_views)
        return (*given, *of_views, score.float(), score < self.offset)

    def _score(self, features: Tensor, logits: Tensor, of_views: tuple[Tensor, ...]) -> Tensor:
        predictions = logits.argmax(dim=1)
        views = None
        if of_views:
            views = compare_views(features, of_views[0], logits, of_views[1], predictions)
        inputs = RuleInput(
            features, logits, predictions, self._similarities(features), features[:, :0], views
        )
        score: Tensor = self.rule.score(inputs)
        return score

    def _similarities(self, features: Tensor) -> Tensor:
        """Eq. (10), by a matrix product in double precision: differences of all pairs would take too much memory."""
        x = self.rule.model.scaling(features).double()
        products = x @ self.prototypes.T
        distances = (x * x).sum(1)[:, None] - 2 * products + (self.prototypes**2).sum(1)
        ratio = distances.clamp_min(0.0) / self.variances.clamp_min(1e-300)
        similarities: Tensor = 1.0 / (1.0 + ratio)
        return similarities


class VoterGraph(nn.Module):
    """One image (1, 3, H, W) and standard normal noise (D, 3, side, side) to the auxiliary network's logits (D, c).

    Parameters
    ----------
    network : the auxiliary network
    size : height and width of the image
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, network: AuxiliaryNetwork, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        side, (height, width) = network.spec.side, size
        # the reduction is linear, and one matrix for each direction says all of it
        self.means = height == width and height % side == 0
        self.register_buffer("rows", _reducer(height, side))
        self.register_buffer("columns", _reducer(width, side).T.contiguous())

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Return the logits."""
        side = self.network.spec.side
        small = reduced(image, side) if self.means else self.rows @ image @ self.columns
        logits: Tensor = self.network(small + self.network.spec.sigma * noise)
        return logits


def _reducer(length: int, side: int) -> Tensor:
    """Return (side, length) the matrix that resizes one direction as `reduced` does where it does not take means."""
    strips = torch.eye(length)[None, :, :, None].expand(1, length, length, side).contiguous()
    small = nn.functional.interpolate(strips, size=(side, side), mode="bilinear", antialias=True)
    return small[0, :, :, 0].T.contiguous()
