"""Sim-DNN as a scikit-learn classifier on feature arrays, which also detects attacks."""

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
    """Result of :meth:`SimDNN.detect` for N samples.

    Attributes
    ----------
    attack : (N,) True where flagged, eq. (12)
    labels : (N,) label, eq. (13); not to be trusted where flagged
    scores : (N,) scores of the rule; high is clean
    thresholds : (N,) a sample is flagged if its score is below; that of the published rule changes along the stream
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

    Features are not scaled here: put :class:`sklearn.preprocessing.MinMaxScaler` before it for the paper's line 2, see
    ``docs/paper.md``.

    Parameters
    ----------
    rule : ``"similarity"`` (eq. 10 and a conformal threshold) or ``"published"`` (eqs. 9, 11 and 12)
    alpha : false-alarm rate that the conformal threshold promises, in [1e-9, 1)
    m : the published rule flags scores more than ``m`` standard deviations below the mean; >= 0
    sigma : which variance eq. (10) divides by: ``"shared"``, ``"class"`` or ``"prototype"``, see `PrototypeSet`
    calibration : share of each class held out of learning to calibrate the threshold, 0 or in (0, 0.5]
    shuffle : whether each class is learned in a random order
    random_state : seed of that order and of the samples held out
    n_jobs : classes learned in parallel, as in joblib

    Attributes
    ----------
    prototypes_ : PrototypeSet
        The prototypes; they may be edited at any time, and threshold and labels follow.
    classes_ : (C,) labels in sorted order
    n_features_in_ : number of features, n
    calibration_samples_, calibration_labels_ : (k, n) and (k,)
        The samples held out of learning.

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
        """Learn from (N, n) samples of clean images and their (N,) labels; what was learned before is dropped.

        Raises
        ------
        InputError
            If a parameter is outside its range, or a feature exceeds 1e100.
        """
        for name in ("prototypes_", "_labels", "_seen", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Learn further samples; the result equals one :meth:`fit` on all samples. Later calls may bring new classes.

        ``classes`` names labels that have no sample yet: ``predict_proba`` then has a column for each from the start.
        Errors are those of :meth:`fit`.
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

        order, calibrating = {}, []
        first = sum(self._seen.values())
        for value in np.unique(targets):
            name, rows = str(value), np.flatnonzero(targets == value)
            seen = self._seen.get(name, 0)
            if self.shuffle:
                rows = learning_order(name, rows, seen, self.random_state)
            out = held_out(name, seen, len(rows), self.calibration, self.random_state)
            self._seen[name] = seen + len(rows)
            calibrating.append(rows[out])
            order[name] = rows[~out]
        self.prototypes_.learn(samples, order, first=first, n_jobs=self.n_jobs)
        calibration_rows = np.sort(np.concatenate(calibrating))
        self.calibration_samples_ = np.concatenate([self.calibration_samples_, samples[calibration_rows]])
        self.calibration_labels_ = np.concatenate([self.calibration_labels_, targets[calibration_rows]])
        return self

    def calibrate(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Calibrate on (k, n) other samples of clean images instead of those held out; none may have been learned."""
        check_is_fitted(self, "prototypes_")
        samples = self._validated(X)
        labels = self.predict(X) if y is None else np.asarray(y)
        check_consistent_length(samples, labels)
        self.calibration_samples_, self.calibration_labels_ = samples, labels
        return self

    @property
    def classes_(self) -> NDArray[Any]:
        """(C,) labels in sorted order, including those of prototypes added by hand."""
        check_is_fitted(self, "prototypes_")
        return self._columns()[0]

    def similarities(self, X: ArrayLike) -> FloatArray:
        """Eq. (10): (N, M) similarities in [0, 1] of (N, n) samples to the M prototypes, in their order."""
        check_is_fitted(self, "prototypes_")
        similarities: FloatArray = self.prototypes_.similarity(self._validated(X))
        return similarities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Eq. (13): (N,) label of the most similar prototype."""
        return self.label(self.similarities(X))

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Eq. (6): (N, C) posterior probability of each class; rows sum to 1."""
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
        """Score (N, n) samples by a rule, by default the estimator's: (N,), high is clean."""
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
        """Label samples, and flag attacks among them.

        Parameters
        ----------
        X : (N, n) samples; the published rule takes them as a stream, in their order
        rule, alpha : instead of the estimator's own
        threshold : an earlier result of :meth:`threshold` for the same rule. It saves the calibration, and continues
            the published rule's stream, which otherwise starts anew in each call.
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
        """Calibrate a rule's threshold on the samples held out of learning.

        For the published rule it is recursive (eqs. 11 and 12) and has no ``alpha``. For the similarity rule it is
        conformal, with a separate calibration for each class if ``per_class``.

        Raises
        ------
        InputError
            If there are too few samples held out, or the published rule is asked for thresholds per class.
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
        """Score the samples held out of learning: (k,); InputError if there are none."""
        if not len(self.calibration_samples_):
            raise InputError(
                "no samples were held out to calibrate on; fit with calibration > 0 and more samples, "
                "or call calibrate(X) with clean samples that were not learned"
            )
        scores: FloatArray = score(rule, self.prototypes_.similarity(self.calibration_samples_))
        return scores

    def label(self, similarities: FloatArray) -> NDArray[Any]:
        """Eq. (13): (N,) label of the most similar prototype, from (N, M) similarities."""
        winners: NDArray[Any] = most_similar_label(
            relative_similarity(similarities), self.classes_[self._class_index()]
        )
        return winners

    def _class_index(self) -> IntArray:
        """Return (M,) the column of each prototype's class."""
        column = self._columns()[1]
        return np.array([column[name] for name in self.prototypes_.labels])

    def _columns(self) -> tuple[NDArray[Any], dict[str, int]]:
        """Return (C,) sorted labels, and the column of each class by its name; 1 and 1.0 share a column."""
        self._announce([name for name in self.prototypes_.classes if name not in self._labels])
        labels, columns = np.unique(np.array(list(self._labels.values())), return_inverse=True)
        return labels, dict(zip(self._labels, columns.tolist(), strict=True))

    def _announce(self, labels: Iterable[Any]) -> None:
        self._labels.update({str(value): value for value in labels})

    def _validated(self, X: ArrayLike) -> NDArray[np.floating]:
        samples: NDArray[np.floating] = validate_data(self, X, reset=False, dtype=FLOATS)
        return samples

    def _check_parameters(self) -> None:
        score(self.rule, np.ones((1, 1)))
        held_out("", 0, 0, self.calibration, 0)
        check_parameters(alpha=self.alpha, m=self.m, sigma=self.sigma, random_state=self.random_state)
