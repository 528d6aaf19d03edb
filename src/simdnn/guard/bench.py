"""The bench that judges: features of a batch in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.preprocessing import MinMaxScaler

from simdnn.core.equations import FloatArray
from simdnn.core.estimator import SimDNN
from simdnn.features.extract import Batch
from simdnn.guard.verdict import Neighbour, Verdict

EVIDENCE = 3
"""Classes whose most similar prototype a verdict names."""


class Bench:
    """Judges one stream of batches; the published rule's threshold moves along it.

    Parameters
    ----------
    model, scaler : the guard's
    exemplars : name of the training image behind each prototype, in the order of ``model.prototypes_``
    categories : names of the classifier's outputs
    rule, alpha : in place of the model's own
    """

    def __init__(
        self,
        model: SimDNN,
        scaler: MinMaxScaler,
        exemplars: Sequence[str],
        categories: Sequence[str],
        rule: str | None = None,
        alpha: float | None = None,
    ) -> None:
        self.model = model
        self.scaler = scaler
        self.prototypes = list(zip(model.prototypes_, exemplars, strict=True))
        self.categories = categories
        self.rule = rule or model.rule
        self.threshold = model.threshold(rule=rule, alpha=alpha)

    def __call__(self, batch: Batch, names: Sequence[str]) -> Iterator[Verdict]:
        """Yield a verdict for each image of the batch, in order; ``names`` are those of the whole stream."""
        verdicts = {i: Verdict(names[i], "error", error=reason) for i, reason in batch.errors.items()}
        if len(batch.positions):
            verdicts |= self._verdicts(batch, names)
        for position in sorted(verdicts):
            yield verdicts[position]

    def _verdicts(self, batch: Batch, names: Sequence[str]) -> dict[int, Verdict]:
        features = self.scaler.transform(batch.features)
        detection = self.model.detect(features, rule=self.rule, threshold=self.threshold)
        verdicts = {}
        for i, position in enumerate(batch.positions.tolist()):
            evidence = self._evidence(detection.similarities[i])
            verdicts[position] = Verdict(
                path=names[position],
                verdict="attack" if detection.attack[i] else "clean",
                label=str(detection.labels[i]),
                classifier_label=self._category(batch.logits[i]),
                score=float(detection.scores[i]),
                p_value=None if detection.p_values is None else float(detection.p_values[i]),
                threshold=float(detection.thresholds[i]),
                prototype=evidence[0].prototype,
                rule=self.rule,
                evidence=evidence,
            )
        return verdicts

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
