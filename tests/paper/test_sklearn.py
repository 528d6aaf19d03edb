"""scikit-learn's own checks; the two that cannot hold fail for the reason given, and for no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_classifiers_train,
    check_decision_proba_consistency,
    parametrize_with_checks,
)

from simdnn.arrays import FloatArray
from simdnn.paper.estimator import SimDNN

DISAGREE = "the paper labels by the most similar prototype (eq. 13) and weighs classes by support (eq. 6)"
EXPECTED = {"check_classifiers_train": DISAGREE, "check_decision_proba_consistency": DISAGREE}

ESTIMATORS = [
    SimDNN(),
    SimDNN(rule="published", sigma="class"),
    SimDNN(sigma="prototype", calibration=0, shuffle=True, n_jobs=2),
]


Test = Callable[[SimDNN, Callable[[SimDNN], None]], None]
every_check: Callable[[Test], Test] = parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda _: EXPECTED
)


@every_check
def test_scikit_learns_checks(estimator: SimDNN, check: Callable[[SimDNN], None]) -> None:
    check(estimator)


class ByPosterior(SimDNN):
    """SimDNN with label and decision taken from eq. 6, so that nothing is left to disagree."""

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def decision_function(self, X: ArrayLike) -> FloatArray:
        shares = self.predict_proba(X)
        return shares[:, 1] - shares[:, 0] if shares.shape[1] == 2 else shares


CHECKS = [check_classifiers_train, check_decision_proba_consistency]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_expected_failures_go_when_eq_6_gives_the_label(check: Callable[[str, SimDNN], None]) -> None:
    with pytest.raises(AssertionError, match="not equal"):
        check("SimDNN", SimDNN())
    check("ByPosterior", ByPosterior())


def test_clone_and_parameters() -> None:
    model = SimDNN(rule="published", alpha=0.1, m=2.0, sigma="class", calibration=0.25, random_state=3)
    assert vars(clone(model)) == vars(model)
    assert repr(model).startswith("SimDNN(alpha=0.1, calibration=0.25, m=2.0, random_state=3")
    assert not hasattr(model, "classes_")
    assert model.fit(np.eye(4), [0, 1, 0, 1]).classes_.tolist() == [0, 1]
