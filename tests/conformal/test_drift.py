"""The drift monitor: its promise, its power, what one odd image does, and the capital against a naive product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import binom, kstest

from simdnn.arrays import FloatArray
from simdnn.conformal.drift import EXPONENTS, FLOOR, REST, DriftMonitor, DriftState, log_bets
from simdnn.errors import InputError

Draw = Callable[[np.random.Generator], FloatArray]


def clean(n: int) -> Draw:
    return lambda rng: rng.normal(size=n)


def shifted(n: int, by: float) -> Draw:
    return lambda rng: rng.normal(by, 1.0, size=n)


def campaign(n: int, rate: float) -> Draw:
    return lambda rng: np.where(rng.random(n) < rate, rng.normal(-9.0, 1.0, n), rng.normal(size=n))


def delays(before: int, after: Draw, streams: int) -> FloatArray:
    """Images from the change to the alarm, per stream; negative if too early, infinite if never."""
    found = np.full(streams, np.inf)
    for seed in range(streams):
        rng = np.random.default_rng([11, seed])
        monitor = DriftMonitor(rng.normal(size=600), seed=seed)
        scores = np.concatenate([rng.normal(size=before), after(rng)])
        found[seed] = next((s.n - before for s in monitor.watch(scores) if s.alarm), np.inf)
    return found


def naive_capital(calibration: list[float], scores: list[float], seed: int) -> float:
    """What sleeps, plus what each bet made of each waking share: one product of payments each."""
    rng = np.random.default_rng(seed)
    p_values = []
    for n, score in enumerate(scores):
        seen = [*calibration, *scores[:n]]
        lower, equal = sum(s < score for s in seen), sum(s == score for s in seen)
        p_values.append((lower + (1 - rng.random()) * (equal + 1)) / (len(seen) + 1))
    capital = REST / (REST + len(scores))
    for start in range(len(scores)):
        waking = REST / (REST + start) - REST / (REST + start + 1)
        for e in EXPONENTS:
            mean = FLOOR * FLOOR ** (e - 1) + (1 - FLOOR**e) / e
            for side in (p_values, [1 - p for p in p_values]):
                capital += waking / 6 * np.prod([max(p, FLOOR) ** (e - 1) / mean for p in side[start:]])
    return float(capital)


@pytest.mark.parametrize("shift", [0.0, -2.0, 2.0])
def test_capital_equals_the_naive_product(shift: float) -> None:
    rng = np.random.default_rng(3)
    calibration = rng.normal(size=40).round(1).tolist()  # rounded, so that ties are common
    scores = rng.normal(shift, 1.0, size=30).round(1).tolist()
    states = list(DriftMonitor(calibration, seed=5).watch(scores))
    for n in (1, 2, 10, 30):
        assert_allclose(
            10 ** states[n - 1].log10_capital, naive_capital(calibration, scores[:n], 5), rtol=1e-10
        )


def test_every_bet_is_fair_and_bounded() -> None:
    for k in range(6):

        def pays(p: float, k: int = k) -> float:
            return float(np.exp(log_bets(p)[k]))

        mean, _ = quad(pays, 0, 1, points=[FLOOR, 1 - FLOOR])
        assert mean == pytest.approx(1.0, abs=1e-6)
    assert max(np.exp(log_bets(p)).max() for p in (0.0, 1e-300, 1.0)) == pytest.approx(41.42, abs=0.01)


def test_false_alarms_stay_within_the_promise() -> None:
    streams, peaks = 300, []
    for seed in range(streams):
        rng = np.random.default_rng([2, seed])
        monitor = DriftMonitor(rng.normal(size=100), seed=seed)
        peaks.append(max(state.log10_capital for state in monitor.watch(rng.normal(size=1000))))
    for delta in (0.01, 0.05, 0.2):
        alarms = np.sum(np.array(peaks) >= -np.log10(delta))
        assert alarms <= binom.ppf(0.999, streams, delta)
    assert (
        np.sum(np.array(peaks) >= np.log10(2)) > 10
    )  # the gambler does gamble: chance doubles the capital at times


def test_online_p_values_are_uniform_and_independent_given_the_calibration_where_fixed_ones_are_not() -> None:
    rng = np.random.default_rng(8)
    calibration, stream = rng.normal(size=50), rng.normal(size=6000)
    p_values = np.array([state.p_value for state in DriftMonitor(calibration).watch(stream)])
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(p_values[1:], p_values[:-1])[0, 1]) < 4 / np.sqrt(len(p_values))
    fixed = (np.searchsorted(np.sort(calibration), stream) + rng.random(len(stream))) / 51
    assert kstest(fixed, "uniform").pvalue < 1e-6


@pytest.mark.parametrize("levels", [1, 3])
def test_ties_raise_no_false_alarm(levels: int) -> None:
    for seed in range(15):
        rng = np.random.default_rng([4, seed])
        scores = rng.integers(levels, size=1000).astype(float)
        states = list(DriftMonitor(scores[:300], seed=seed).watch(scores[300:]))
        assert not states[-1].alarm


@pytest.mark.parametrize("n", [10, 600])
def test_one_odd_image_raises_no_alarm(n: int) -> None:
    rng = np.random.default_rng(6)
    for odd in (-1e300, 1e300):
        for before in (0, 50):
            monitor = DriftMonitor(rng.normal(size=n), seed=1)
            rest = max((s.log10_capital for s in monitor.watch(rng.normal(size=before))), default=0.0)
            state = monitor.observe(odd)
            assert state.p_value <= 1 / (n + before + 1) or odd > 0
            assert not state.alarm
            assert state.log10_capital < rest + 1


@pytest.mark.parametrize(
    ("before", "after", "median", "streams"),
    [
        pytest.param(0, campaign(60, 1.0), 5, 21, id="all images attacked"),
        pytest.param(0, campaign(300, 0.3), 22, 21, id="30 % attacked"),
        pytest.param(0, shifted(300, -1.0), 40, 21, id="lower mean"),
        pytest.param(0, shifted(300, 1.0), 40, 21, id="higher mean"),
        pytest.param(2000, campaign(300, 0.3), 26, 9, id="30 % attacked after 2,000 clean images"),
        pytest.param(2000, shifted(1200, -0.4), 280, 9, id="camera that lowers scores"),
        pytest.param(2000, shifted(1200, 0.4), 280, 9, id="camera that raises scores"),
    ],
)
def test_a_change_is_found(before: int, after: Draw, median: int, streams: int) -> None:
    found = delays(before, after, streams)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert np.median(found) <= median


def test_odd_images_at_one_per_cent_are_hardly_ever_found_and_at_ten_soon() -> None:
    assert np.mean(np.isfinite(delays(0, campaign(1000, 0.01), 12))) <= 0.2
    assert np.median(delays(0, campaign(1000, 0.1), 12)) <= 200


def test_alarm_stays_until_reset_which_starts_anew() -> None:
    rng = np.random.default_rng(1)
    monitor = DriftMonitor(rng.normal(size=200), seed=2)
    assert list(monitor.watch(campaign(20, 1.0)(rng)))[-1].alarm
    later = list(monitor.watch(clean(400)(rng)))
    assert all(state.alarm for state in later)
    assert later[-1].log10_capital < later[0].log10_capital
    assert later[-1].n == 420
    monitor.reset()
    scores = clean(50)(rng)
    fresh = list(DriftMonitor(monitor.calibration, seed=2).watch(scores))
    assert list(monitor.watch(scores)) == fresh
    assert not fresh[-1].alarm


def test_a_huge_capital_does_not_overflow() -> None:
    monitor = DriftMonitor(np.arange(100_000.0))
    state = list(monitor.watch(-np.arange(400.0)))[-1]
    assert 400 < state.log10_capital < 700
    assert isinstance(state, DriftState)


@pytest.mark.parametrize(
    ("calibration", "delta", "message"),
    [
        ([], 0.01, "expected scores of clean images to compare the stream with; got none"),
        ([1.0, np.nan], 0.01, "calibration scores must be finite; got missing or infinite values"),
        ([1.0], 0.0, "delta is the probability of a false alarm, expected between 0 and 1; got 0.0"),
        ([1.0], 1.0, "delta is the probability of a false alarm, expected between 0 and 1; got 1.0"),
    ],
)
def test_bad_arguments_are_named(calibration: list[float], delta: float, message: str) -> None:
    with pytest.raises(InputError) as error:
        DriftMonitor(calibration, delta=delta)
    assert str(error.value) == message


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused_and_leaves_no_trace(score: float) -> None:
    monitor, untouched = DriftMonitor([0.0, 1.0, 2.0]), DriftMonitor([0.0, 1.0, 2.0])
    with pytest.raises(InputError, match=f"^expected a finite score; got {score}$"):
        monitor.observe(score)
    assert monitor.observe(0.5) == untouched.observe(0.5)
