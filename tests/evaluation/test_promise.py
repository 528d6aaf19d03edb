"""Whether counted false alarms contradict a promise: against a simulation of the law itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from simdnn.conformal.split import ConformalThreshold
from simdnn.evaluation.promise import SIGNIFICANCE, Promise


@pytest.mark.parametrize(("alpha", "k", "n"), [(0.05, 39, 40), (0.1, 59, 30), (0.2, 19, 100)])
def test_a_promise_that_is_kept_is_seldom_called_contradicted(alpha: float, k: int, n: int) -> None:
    draw, runs = np.random.default_rng(0), 2000
    flagged = [
        int(ConformalThreshold(draw.normal(size=k), alpha).judge(draw.normal(size=n)).attack.sum())
        for _ in range(runs)
    ]
    found = [Promise.test(alpha, k, n, count) for count in flagged]
    wrong = sum(one.contradicted for one in found)
    assert binomtest(wrong, runs, SIGNIFICANCE, alternative="greater").pvalue > 1e-4
    counts = np.array(flagged)
    for one in found[:20]:  # the p-value is the share of counts as large
        share = int((counts >= one.flagged).sum())
        assert binomtest(share, runs, one.p_value).pvalue > 1e-4
    assert all(one.contradicted == (one.p_value <= SIGNIFICANCE) for one in found)


def test_the_sentences() -> None:
    kept = Promise.test(alpha=0.05, calibrated=600, n=250, flagged=9)
    assert kept.sentence == "9 of 250 flagged; the promise of 5 % is not contradicted"
    assert kept.p_value == pytest.approx(0.84, abs=0.05)
    broken = Promise.test(alpha=0.05, calibrated=600, n=250, flagged=22)
    assert broken.sentence == (
        "22 of 250 flagged; the promise of 5 % is contradicted: at most 21 were to be expected; the images differ "
        "from the calibration images, or the network was trained on those; run `simdnn calibrate`"
    )
    assert broken.p_value < SIGNIFICANCE < Promise.test(0.05, 600, 250, 21).p_value
    assert Promise.test(0.05, 600, 250, 0).p_value == 1.0
