"""Sim-DNN on feature arrays: a scikit-learn classifier that also detects attacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from simdnn.arrays import FloatArray, IntArray
from simdnn.conformal.per_class import MondrianThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.conformal.threshold import Threshold
from simdnn.errors import InputError
from simdnn.paper.equations import class_posterior, relative_similarity
from simdnn.paper.equations import label as most_similar_label
from simdnn.paper.holdout import held_out
from simdnn.paper.learning import learning_order
from simdnn.paper.m_sigma import RecursiveThreshold
from simdnn.paper.parameters import LARGEST, check_parameters
from simdnn.paper.prototypes import PrototypeSet, SigmaKind
from simdnn.paper.scores import score

FLOATS = (np.float64, np.float32)


@dataclass(frozen=True)
class Detection:
    """What :meth:`SimDNN.detect` says of N samples.

    Attributes
    ----------
    attack : (N,) True where flagged, eq. (12)
    labels : (N,) label, eq. (13); not to be trusted where flagged
    scores : (N,) the rule's scores; high is clean
    thresholds : (N,) a sample was flagged if its score was below; the published rule moves it along the stream
    p_values : (N,) conformal p-values in (0, 1]; None under the published rule
    similarities : (N, M) similarity to every prototype, eq. (10)
    """

    attack: NDArray[np.bool_]
    labels: NDArray[Any]
    scores: FloatArray
    thresholds: FloatArray
    p_values: FloatArray | None
    similarities: FloatArray


class SimDNN(ClassifierMixin, BaseEstimator):
    """Similarity-based classifier and attack detector of Soares, Angelov and Suri.

    Features are taken as they are; the paper's normalisation (line 2 of its procedure) is
    :class:`sklearn.preprocessing.MinMaxScaler`, see ``docs/paper.md``.

    Parameters
    ----------
    rule : ``"similarity"`` (eq. 10 and a conformal threshold) or ``"published"`` (eqs. 9, 11 and 12)
    alpha : false-alarm rate that the conformal threshold promises
    m : deviations under the mean at which the published rule flags
    sigma : whose variance eq. (10) divides by: ``"shared"``, ``"class"`` or ``"prototype"``
    calibration : share of the samples of each class held out of learning to calibrate the threshold; 0 for none
    shuffle : whether the samples of a class are learned in random order instead of their own
    random_state : seed of the draws
    n_jobs : classes learned at the same time, as joblib counts them

    Attributes
    ----------
    prototypes_ : PrototypeSet
        The prototypes; edit them and the estimator follows, its threshold included.
    classes_ : (C,) labels in sorted order
    n_features_in_ : width of the features
    calibration_samples_, calibration_labels_ : (n, n_features_in_) and (n,)
        What was held out of learning.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SimDNN(alpha=0.1).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    >>> model.detect([[5.0, 3.4, 1.5, 0.2], [9.0, 9.0, 9.0, 9.0]]).attack.tolist()
    [False, True]
    """

    def __init__(
        self,
        *,
        rule: str = "similarity",
        alpha: float = 0.05,
        m: float = 3.0,
        sigma: SigmaKind = "shared",
        calibration: float = 0.2,
        shuffle: bool = False,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.rule = rule
        self.alpha = alpha
        self.m = m
        self.sigma = sigma
        self.calibration = calibration
        self.shuffle = shuffle
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from (N, n) samples of clean images and their (N,) labels, forgetting what was known."""
        for name in ("prototypes_", "_labels", "_seen", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Go on learning; equals one :meth:`fit` over all samples. New classes may arrive at any time.

        ``classes`` announces labels that have no sample yet, so that the columns of ``predict_proba`` stay put.
        """
        new = not hasattr(self, "prototypes_")
        samples: NDArray[np.floating]
        targets: NDArray[Any]
        samples, targets = validate_data(self, X, y, reset=new, dtype=FLOATS)
        check_classification_targets(targets)
        if samples.dtype == np.float64 and max(-samples.min(), samples.max()) > LARGEST:
            raise InputError(
                f"expected features up to {LARGEST:g}, so that their squares stay finite; scale them"
            )
        if new:
            self._check_parameters()
            self.prototypes_ = PrototypeSet(samples.shape[1], self.sigma)
            self._labels: dict[str, Any] = {}
            self._seen: dict[str, int] = {}
            self.calibration_samples_ = samples[:0]
            self.calibration_labels_ = targets[:0]
        self._announce(np.unique(targets))
        if classes is not None:
            self._announce(np.unique(np.asarray(classes)))

        order, held = {}, []
        base = sum(self._seen.values())
        for value in np.unique(targets):
            name, rows = str(value), np.flatnonzero(targets == value)
            seen = self._seen.get(name, 0)
            if self.shuffle:
                rows = learning_order(name, rows, seen, self.random_state)
            out = held_out(name, seen, len(rows), self.calibration, self.random_state)
            self._seen[name] = seen + len(rows)
            held.append(rows[out])
            order[name] = rows[~out]
        self.prototypes_.learn(samples, order, first=base, n_jobs=self.n_jobs)
        kept = np.sort(np.concatenate(held))
        self.calibration_samples_ = np.concatenate([self.calibration_samples_, samples[kept]])
        self.calibration_labels_ = np.concatenate([self.calibration_labels_, targets[kept]])
        return self

    def calibrate(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Calibrate on (N, n) samples of clean images that were not learned, in place of those held out."""
        check_is_fitted(self, "prototypes_")
        samples = self._validated(X)
        labels = self.predict(X) if y is None else np.asarray(y)
        check_consistent_length(samples, labels)
        self.calibration_samples_, self.calibration_labels_ = samples, labels
        return self

    @property
    def classes_(self) -> NDArray[Any]:
        """(C,) labels in sorted order, those of prototypes added by hand included."""
        check_is_fitted(self, "prototypes_")
        return self._columns()[0]

    def similarities(self, X: ArrayLike) -> FloatArray:
        """Eq. (10): (N, M) similarity of (N, n) samples to the M prototypes, in the order of ``prototypes_``."""
        check_is_fitted(self, "prototypes_")
        similarities: FloatArray = self.prototypes_.similarity(self._validated(X))
        return similarities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Eq. (13): (N,) label of the most similar prototype."""
        return self.label(self.similarities(X))

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Eq. (6): (N, C) share of each class in the sum of ``N_i S_i``."""
        similarities = self.similarities(X)
        return class_posterior(
            similarities, self.prototypes_.support, self._class_index(), len(self.classes_)
        )

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Largest lambda (eq. 9) of each class: (N, C); for two classes the difference, (N,)."""
        shares, index = relative_similarity(self.similarities(X)), self._class_index()
        best = np.zeros((len(shares), len(self.classes_)))
        for j, column in enumerate(index):
            best[:, column] = np.maximum(best[:, column], shares[:, j])
        return best[:, 1] - best[:, 0] if best.shape[1] == 2 else best

    def score_samples(self, X: ArrayLike, *, rule: str | None = None) -> FloatArray:
        """Score of each sample by the rule: (N,), high is clean."""
        scores: FloatArray = score(rule or self.rule, self.similarities(X))
        return scores

    def detect(
        self,
        X: ArrayLike,
        *,
        rule: str | None = None,
        alpha: float | None = None,
        threshold: Threshold | None = None,
    ) -> Detection:
        """Judge (N, n) samples, in their order.

        Parameters
        ----------
        X : (N, n) samples
        rule, alpha : in place of those the estimator was made with
        threshold : what :meth:`threshold` returned earlier for the same rule; saves the calibration, and carries the
            published rule's stream on. Without it each call starts from the calibration.
        """
        rule = rule or self.rule
        similarities = self.similarities(X)
        scores, labels = score(rule, similarities), self.label(similarities)
        decision = (threshold or self.threshold(rule=rule, alpha=alpha)).judge(scores, labels)
        return Detection(
            decision.attack,
            labels,
            scores,
            decision.offsets,
            decision.p_values,
            similarities,
        )

    def threshold(
        self, *, rule: str | None = None, alpha: float | None = None, per_class: bool = False
    ) -> Threshold:
        """Return the threshold of a rule as the samples held out of learning set it.

        That of the published rule is recursive (eqs. 11, 12) and has no ``alpha``; the others are conformal, each class
        calibrated on its own if ``per_class``.
        """
        rule = rule or self.rule
        scores = self.calibration_scores(rule)
        if rule == "published":
            if per_class:
                raise InputError(
                    "the published rule has one threshold, not one for each class; give another rule"
                )
            return RecursiveThreshold.of(scores, self.m)
        alpha = self.alpha if alpha is None else alpha
        if not per_class:
            return ConformalThreshold(scores, alpha)
        labels = self.label(self.prototypes_.similarity(self.calibration_samples_))
        return MondrianThreshold(scores, labels, self.classes_.tolist(), alpha)

    def calibration_scores(self, rule: str) -> FloatArray:
        """Score the samples held out of learning, (n,); InputError if there are none."""
        if not len(self.calibration_samples_):
            raise InputError(
                "no samples were held out to calibrate on; fit with calibration > 0 and more samples, "
                "or call calibrate(X) with clean samples that were not learned"
            )
        scores: FloatArray = score(rule, self.prototypes_.similarity(self.calibration_samples_))
        return scores

    def label(self, similarities: FloatArray) -> NDArray[Any]:
        """Eq. (13) for (N, M) similarities to the prototypes: (N,) labels."""
        winners: NDArray[Any] = most_similar_label(
            relative_similarity(similarities), self.classes_[self._class_index()]
        )
        return winners

    def _class_index(self) -> IntArray:
        column = self._columns()[1]
        return np.array([column[name] for name in self.prototypes_.labels])

    def _columns(self) -> tuple[NDArray[Any], dict[str, int]]:
        """Return the sorted labels and, by the name of a class, the place of its label; 1 and 1.0 share one."""
        self._announce([name for name in self.prototypes_.classes if name not in self._labels])
        labels, places = np.unique(np.array(list(self._labels.values())), return_inverse=True)
        return labels, dict(zip(self._labels, places.tolist(), strict=True))

    def _announce(self, labels: Iterable[Any]) -> None:
        self._labels.update({str(value): value for value in labels})

    def _validated(self, X: ArrayLike) -> NDArray[np.floating]:
        samples: NDArray[np.floating] = validate_data(self, X, reset=False, dtype=FLOATS)
        return samples

    def _check_parameters(self) -> None:
        score(self.rule, np.ones((1, 1)))
        held_out("", 0, 0, self.calibration, 0)
        check_parameters(alpha=self.alpha, m=self.m, sigma=self.sigma, random_state=self.random_state)
