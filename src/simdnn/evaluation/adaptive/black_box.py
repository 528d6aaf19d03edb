"""Attackers of a guarded network who cannot follow its slopes: they see scores, verdicts, or another network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from simdnn.attacks import Recipe, attack
from simdnn.attacks.adaptive.attacks import BATCH
from simdnn.attacks.adaptive.module import Guarded
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.evaluation.adaptive.images import Examined, answers, or_none, shares


class Verdict(nn.Module):
    """What users of a guarded network get to see of one picture's variants: which class is answered, as one-hot logits.

    A flagged image counts as answered rightly, for it gains the attacker nothing. So a decision attack on this module
    is one on network and detector.

    Parameters
    ----------
    guarded : network and detector
    threshold : of the detector
    truth : the right answer for all images that come
    """

    def __init__(self, guarded: Guarded, threshold: float, truth: int) -> None:
        super().__init__()
        self.guarded, self.threshold, self.truth = guarded, threshold, truth
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, K) for images (N, 3, H, W) in [0, 1]."""
        said = self.guarded(images)
        given = torch.where(said.score >= self.threshold, said.logits.argmax(dim=1), self.truth)
        return one_hot(given, said.logits.shape[1]).to(said.logits.dtype)


def decision_cost(
    network: Guarded, guarded: Guarded, examined: Examined, threshold: float, recipe: Recipe | None = None
) -> dict[str, Any]:
    """Compare the Euclidean changes that an attacker finds who sees verdicts only: without the detector, and with it.

    Over images that the network has right. ``recipe``: a decision attack; default HopSkipJump.

    Returns
    -------
    Medians, None where most found nothing, and how many of the n images each found a change for.
    """
    recipe = recipe or HopSkipJump()
    given, _ = answers(guarded, examined.images)
    rows = torch.nonzero(given == examined.truth)[:, 0].tolist()
    told: dict[str, Any] = {"n": len(rows)}
    for name, what, offset in (
        ("network", network, -torch.inf),
        ("network_and_detector", guarded, threshold),
    ):
        norms = torch.full((len(rows),), torch.inf)
        for place, row in enumerate(rows):
            truth = examined.truth[row : row + 1]
            found = attack(recipe, Verdict(what, offset, int(truth)), examined.images[row : row + 1], truth)
            if found.success:
                norms[place] = found.l2
        told[name] = or_none(norms.median())
        told[f"found_{name}"] = int(norms.isfinite().sum())
    return told


def transferred(
    guarded: Guarded, examined: Examined, source: nn.Module, recipe: Recipe, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Attack another network with the same outputs, and return what is kept of the images on this one: shares."""
    found = attack(recipe, source, examined.images, examined.truth, batch_size=BATCH)
    given, score = answers(guarded, found.images)
    best = torch.where(given != examined.truth, score, -torch.inf)
    return {
        **found.parameters,
        "fooled_source": float(found.success.double().mean()),
        "fooled_network": float((given != examined.truth).double().mean()),
        "robust_accuracy": shares(best, thresholds),
    }


@torch.no_grad()
def random_search(
    guarded: Guarded, images: Tensor, truth: Tensor, threshold: float, eps: float, queries: int, seed: int = 0
) -> float:
    """Return the share of images brought through by a search without slopes, over squares of changed pixels.

    After Square (Andriushchenko and others, ECCV 2020), on the margin of the label and, once that is gone, the score.
    """
    draw = torch.Generator().manual_seed(seed)
    side = images.shape[-1]
    stripes = torch.randint(0, 2, (*images.shape[:2], 1, side), generator=draw) * 2.0 - 1
    change = eps * stripes.expand_as(images).clone()
    best = _progress(guarded, (images + change).clamp(0, 1), truth, threshold)
    for query in range(queries):
        width = max(1, int(side * (0.5 * (1 - query / queries)) ** 0.5))
        down, right = torch.randint(0, side - width + 1, (2,), generator=draw).tolist()
        tried = change.clone()
        colour = torch.randint(0, 2, (*images.shape[:2], 1, 1), generator=draw) * 2.0 - 1
        tried[..., down : down + width, right : right + width] = eps * colour
        reached = _progress(guarded, (images + tried).clamp(0, 1), truth, threshold)
        better = reached > best
        change[better], best[better] = tried[better], reached[better]
    return float((best >= 0).double().mean())


def _progress(guarded: Guarded, images: Tensor, truth: Tensor, threshold: float) -> Tensor:
    """Return how far images are on their way: at least 0 is through, (N,)."""
    found = []
    for batch, right in zip(torch.split(images, BATCH), torch.split(truth, BATCH), strict=True):
        said = guarded(batch)
        own = said.logits.gather(1, right[:, None])[:, 0]
        others = said.logits.scatter(1, right[:, None], -torch.inf).amax(dim=1)
        missing = (threshold - said.score).clamp(min=0).double()
        found.append(torch.where(others > own, -missing, -1e3 + (others - own).double()))
    return torch.cat(found)
