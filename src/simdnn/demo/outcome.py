"""The demonstration's rates of flagged and misclassified images, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simdnn.evaluation.intervals import Estimate, auroc, rate
from simdnn.evaluation.promise import false_alarm_law
from simdnn.guard.verdict import Verdict
from simdnn.paper.equations import judged_rightly


@dataclass(frozen=True)
class ImageGroup:
    """Images of one kind, such as clean or attacked by PGD, and their verdicts.

    Attributes
    ----------
    name : short name, such as ``"pgd"``
    parameters : the attack and its parameters, for JSON; empty for clean images
    attacked : whether the images are attacked; clean and noisy images should not be flagged
    truth : true label of each image
    verdicts : verdict on each image
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
    def flagged(self) -> list[bool]:
        """Whether each image is flagged as a possible attack."""
        return [verdict.verdict == "attack" for verdict in self.verdicts]

    @property
    def fooled(self) -> list[bool]:
        """Whether the network misclassifies each image."""
        return [v.classifier_label != truth for v, truth in zip(self.verdicts, self.truth, strict=True)]

    @property
    def judged_rightly(self) -> list[bool]:
        """Whether each image is judged rightly, eq. (14)."""
        correct = [v.label == truth for v, truth in zip(self.verdicts, self.truth, strict=True)]
        right: list[bool] = judged_rightly(self.attacked, self.flagged, correct).tolist()
        return right


@dataclass(frozen=True)
class Outcome:
    """One row of the table; rates are shares in [0, 1] with exact 95 % intervals.

    Attributes
    ----------
    name, parameters, attacked : of the group
    n : number of images
    fooled : share of images that the network misclassifies
    detected : detection rate, eq. (14)
    flagged : share of images flagged; for images that are not attacked, the false-alarm rate
    auroc : area under the ROC curve against the clean images; None for the clean images themselves
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
        """Return plain values for JSON."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return {key: v._asdict() if isinstance(v, Estimate) else v for key, v in values.items()}


def summarise(group: ImageGroup, clean: ImageGroup, *, seed: int = 0) -> Outcome:
    """Compute a group's row of the table; ``clean`` are the negatives of its AUROC, ``seed`` that of the bootstrap."""
    n = len(group.verdicts)
    return Outcome(
        name=group.name,
        parameters=group.parameters,
        attacked=group.attacked,
        n=n,
        fooled=rate(sum(group.fooled), n),
        detected=rate(sum(group.judged_rightly), n),
        flagged=rate(sum(group.flagged), n),
        auroc=None if group is clean else auroc(clean.scores, group.scores, seed=seed),
    )


CONFIDENCE = 0.975
"""Share of guards, over draws of the calibration images, whose false alarms stay within the bound."""


def false_alarm_bound(alpha: float, calibrated: int, n: int) -> float:
    """Return the upper bound of the share of ``n`` clean images that a guard flags, at confidence `CONFIDENCE`.

    ``alpha`` bounds the false-alarm rate on average over draws of the ``calibrated`` images; for a single guard, the
    count varies as :func:`~simdnn.evaluation.promise.false_alarm_law` says.

    >>> round(false_alarm_bound(0.05, 240, 600), 3)
    0.087
    """
    return float(false_alarm_law(alpha, calibrated, n).ppf(CONFIDENCE) / n)
