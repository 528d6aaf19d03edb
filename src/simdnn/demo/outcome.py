"""What a guard made of a group of images whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import betabinom

from simdnn.evaluation.intervals import Estimate, auroc, rate
from simdnn.guard.verdict import Verdict


@dataclass(frozen=True)
class Group:
    """Images that were treated alike, and their verdicts.

    Attributes
    ----------
    name : short, such as ``"pgd"``
    parameters : how the images were made, ready for JSON; empty for clean images as they are
    attacked : whether the change was an attack; clean and noisy images are to be left alone
    truth : true label of each image
    verdicts : one for each image
    """

    name: str
    parameters: dict[str, Any]
    attacked: bool
    truth: Sequence[str]
    verdicts: Sequence[Verdict]

    @property
    def scores(self) -> list[float]:
        """Scores; high is clean."""
        return [verdict.score for verdict in self.verdicts if verdict.score is not None]

    @property
    def fooled(self) -> list[bool]:
        """Whether the network itself gives a wrong label, image by image."""
        return [v.classifier_label != truth for v, truth in zip(self.verdicts, self.truth, strict=True)]

    @property
    def judged_rightly(self) -> list[bool]:
        """Eq. (14), image by image: an attacked one flagged or labelled correctly, any other both unflagged and so."""
        return [
            (v.verdict == "attack" or v.label == truth)
            if self.attacked
            else (v.verdict == "clean" and v.label == truth)
            for v, truth in zip(self.verdicts, self.truth, strict=True)
        ]


@dataclass(frozen=True)
class Outcome:
    """One row of the table; rates are shares in [0, 1] with exact 95 % intervals.

    Attributes
    ----------
    name, parameters, attacked : of the group
    n : number of images
    fooled : share that the network mislabels
    detected : detection rate, eq. (14)
    flagged : share flagged; for images that were not attacked, the false alarms
    auroc : chance that a clean image scores above one of these; None for the clean images themselves
    """

    name: str
    parameters: dict[str, Any]
    attacked: bool
    n: int
    fooled: Estimate
    detected: Estimate
    flagged: Estimate
    auroc: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return {key: v._asdict() if isinstance(v, Estimate) else v for key, v in values.items()}


def summarise(group: Group, clean: Group, *, seed: int = 0) -> Outcome:
    """Make a group's row of the table; ``clean`` are the images that its AUROC is measured against."""
    n = len(group.verdicts)
    return Outcome(
        name=group.name,
        parameters=group.parameters,
        attacked=group.attacked,
        n=n,
        fooled=rate(sum(group.fooled), n),
        detected=rate(sum(group.judged_rightly), n),
        flagged=rate(sum(verdict.verdict == "attack" for verdict in group.verdicts), n),
        auroc=None if group is clean else auroc(clean.scores, group.scores, seed=seed),
    )


def expected_false_alarms(alpha: float, calibrated: int, n: int) -> tuple[float, float]:
    """Return where 95 % of guards, each calibrated on as many images as this one, end up on ``n`` clean images.

    The promised rate holds over the draw of the calibration images. One guard's own rate follows a beta
    distribution (Vovk, 2012), and its share of ``n`` images a beta-binomial.

    >>> expected_false_alarms(0.05, 240, 600)
    (0.02..., 0.08...)
    """
    k = int(alpha * (calibrated + 1))
    low, high = betabinom(n, k, calibrated + 1 - k).interval(0.95)
    return float(low / n), float(high / n)
