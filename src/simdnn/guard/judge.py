"""What came out of the networks in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import FloatArray
from simdnn.conformal.threshold import Threshold
from simdnn.guard.verdict import Neighbour, Verdict
from simdnn.networks.batch import ROWS, Batch
from simdnn.rules.inputs import RuleInput
from simdnn.rules.rule import Rule

EVIDENCE = 3
"""Classes whose most similar prototype a verdict names."""


class Judge:
    """Judges one stream of batches; the published rule's threshold moves along it.

    Parameters
    ----------
    rule : scores images
    threshold : of the rule
    exemplars : name of the training image behind each prototype, in the order of the prototypes
    categories : names of the classifier's outputs
    """

    def __init__(
        self, rule: Rule, threshold: Threshold, exemplars: Sequence[str], categories: Sequence[str]
    ) -> None:
        self.rule = rule
        self.threshold = threshold
        self.prototypes = list(zip(rule.model.prototypes, exemplars, strict=True))
        self.categories = categories

    def __call__(self, batch: Batch, names: Sequence[str]) -> Iterator[Verdict]:
        """Yield a verdict for each image of the batch, in order; ``names`` are those of the whole stream."""
        sound, errors = _without_broken(batch)
        verdicts = {i: Verdict(names[i], "error", error=reason) for i, reason in errors.items()}
        if len(sound.positions):
            verdicts |= self._verdicts(sound, names)
        for position in sorted(verdicts):
            yield verdicts[position]

    def _verdicts(self, batch: Batch, names: Sequence[str]) -> dict[int, Verdict]:
        inputs = RuleInput.of(batch, self.rule.model)
        scores = self.rule.score(inputs)
        labels = self.rule.model.labels(inputs.similarities)
        decision = self.threshold.judge(scores, labels)
        opinions = self._opinions(inputs)
        verdicts = {}
        for i, position in enumerate(batch.positions.tolist()):
            evidence = self._evidence(inputs.similarities[i])
            verdicts[position] = Verdict(
                path=names[position],
                verdict="attack" if decision.attack[i] else "clean",
                label=str(labels[i]),
                **opinions[i],
                classifier_label=self._category(batch.logits[i]),
                score=float(scores[i]),
                p_value=_at(decision.p_values, i),
                p_value_clean=_at(decision.clean_p_values, i),
                p_value_mixture=_at(decision.mixture_p_values, i),
                threshold=float(decision.offsets[i]),
                prototype=evidence[0].prototype,
                rule=self.rule.name,
                evidence=evidence,
                image_sha256=batch.image_sha256[i] or None,
            )
        return verdicts

    def _opinions(self, inputs: RuleInput) -> list[dict[str, Any]]:
        opinion = self.rule.opinion
        if opinion is None:
            return [{} for _ in inputs.predictions]
        classes = opinion.classes(inputs.logits, inputs.predictions)
        return [
            {"opinion_class": opinion.names[place], "opinion": float(share)}
            for place, share in zip(classes, opinion.share(inputs.shares, classes), strict=True)
        ]

    def _category(self, logits: NDArray[np.float32]) -> str:
        """Name the network's output; by its number where the names do not fit the outputs."""
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


def _at(values: FloatArray | None, i: int) -> float | None:
    return None if values is None else float(values[i])


def _without_broken(batch: Batch) -> tuple[Batch, dict[int, str]]:
    """Leave out the images on which a network fails: a score that is no number would pass every threshold."""
    sound = np.ones(len(batch.positions), dtype=bool)
    for name in ROWS:
        values: NDArray[Any] = getattr(batch, name)
        sound &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    broken = batch.positions[~sound].tolist()
    reason = "the network gives missing or infinite numbers for this image"
    left = batch.take(np.flatnonzero(sound))
    return replace(left, errors={}), batch.errors | dict.fromkeys(broken, reason)
