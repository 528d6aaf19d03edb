"""The bench that judges: features of a batch in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from sklearn.preprocessing import MinMaxScaler

from simdnn.arrays import FloatArray
from simdnn.conformal.threshold import Threshold
from simdnn.guard.verdict import Neighbour, Verdict
from simdnn.images.shifts import View
from simdnn.networks.extractor import Batch
from simdnn.paper.estimator import SimDNN
from simdnn.paper.scores import score
from simdnn.rules.profile import GuardProfile
from simdnn.rules.statistics import SOURCES

_NUMBERS = ("features", "logits", "view_features", "view_logits", "witness_logits")

EVIDENCE = 3
"""Classes whose most similar prototype a verdict names."""


class Bench:
    """Judges one stream of batches; the published rule's threshold moves along it.

    Parameters
    ----------
    model, scaler : the guard's
    exemplars : name of the training image behind each prototype, in the order of ``model.prototypes_``
    categories : names of the classifier's outputs
    profile : what the rule ``"profile"`` needs, where that is the rule
    rule, alpha : in place of the model's own
    per_class : whether each class has a threshold of its own
    """

    def __init__(
        self,
        model: SimDNN,
        scaler: MinMaxScaler,
        exemplars: Sequence[str],
        categories: Sequence[str],
        profile: GuardProfile | None = None,
        rule: str | None = None,
        alpha: float | None = None,
        per_class: bool = False,
    ) -> None:
        self.model = model
        self.scaler = scaler
        self.prototypes = list(zip(model.prototypes_, exemplars, strict=True))
        self.categories = categories
        self.profile = profile
        self.rule = "profile" if profile else rule or model.rule
        self.threshold: Threshold
        if profile:
            scores, samples = profile.calibration_scores(model), profile.calibration_samples(model)
            self.threshold = model.conformal(scores, samples, alpha, per_class)
        else:
            self.threshold = model.threshold(rule=rule, alpha=alpha, per_class=per_class)

    @property
    def calibration_scores(self) -> FloatArray:
        """What the rule gives the calibration images: (n,)."""
        if self.profile:
            return self.profile.calibration_scores(self.model)
        return self.model.calibration_scores(self.rule)

    @property
    def views(self) -> tuple[View, ...]:
        """The views of each image that the rule looks at."""
        return self.profile.views if self.profile else ()

    def __call__(self, batch: Batch, names: Sequence[str]) -> Iterator[Verdict]:
        """Yield a verdict for each image of the batch, in order; ``names`` are those of the whole stream."""
        sound, errors = _without_broken(batch)
        verdicts = {i: Verdict(names[i], "error", error=reason) for i, reason in errors.items()}
        if len(sound.positions):
            verdicts |= self._verdicts(sound, names)
        for position in sorted(verdicts):
            yield verdicts[position]

    def shortfalls(self, batch: Batch) -> dict[str, float]:
        """Return what the profile of the first image of a batch lacks, by source; nothing under another rule."""
        if not self.profile:
            return {}
        similarities = self.model.similarities(self.scaler.transform(batch.features))
        (short, *_) = self.profile.shortfalls(batch, self.model, similarities).tolist()
        return dict(zip(SOURCES, short, strict=False))  # the last is a hardened guard's

    def _verdicts(self, batch: Batch, names: Sequence[str]) -> dict[int, Verdict]:
        similarities = self.model.similarities(self.scaler.transform(batch.features))
        scores = self._scores(batch, similarities)
        labels = self.model.label(similarities)
        judged = self.threshold.judge(scores, labels)
        verdicts = {}
        for i, position in enumerate(batch.positions.tolist()):
            evidence = self._evidence(similarities[i])
            verdicts[position] = Verdict(
                path=names[position],
                verdict="attack" if judged.attack[i] else "clean",
                label=str(labels[i]),
                classifier_label=self._category(batch.logits[i]),
                score=float(scores[i]),
                p_value=None if judged.p_values is None else float(judged.p_values[i]),
                threshold=float(judged.offsets[i]),
                prototype=evidence[0].prototype,
                rule=self.rule,
                evidence=evidence,
            )
        return verdicts

    def _scores(self, batch: Batch, similarities: FloatArray) -> FloatArray:
        if self.profile:
            return self.profile.score(batch, self.model, similarities)
        return score(self.rule, similarities)

    def _category(self, logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> str:
        """Name the network's answer; by its number where the names do not fit the outputs."""
        output = int(logits.argmax())
        return self.categories[output] if len(logits) == len(self.categories) else str(output)

    def _evidence(self, similarities: FloatArray) -> tuple[Neighbour, ...]:
        """Name the most similar prototype of each of the most similar classes."""
        best: dict[str, Neighbour] = {}
        for j in np.argsort(-similarities, kind="stable"):
            prototype, exemplar = self.prototypes[j]
            if prototype.label not in best:
                best[prototype.label] = Neighbour(
                    prototype.id, prototype.label, float(similarities[j]), exemplar
                )
            if len(best) == EVIDENCE:
                break
        return tuple(best.values())


def _without_broken(batch: Batch) -> tuple[Batch, dict[int, str]]:
    """Leave out the images on which a network fails: a score that is no number would pass every threshold."""
    arrays = {name: getattr(batch, name) for name in _NUMBERS}
    sound = np.ones(len(batch.positions), dtype=bool)
    for values in arrays.values():
        sound &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    broken = batch.positions[~sound].tolist()
    left = replace(batch, positions=batch.positions[sound], **{n: v[sound] for n, v in arrays.items()})
    return left, batch.errors | dict.fromkeys(
        broken, "the network gives missing or infinite numbers for this image"
    )
