"""Certified radii: where the best attack is known they are reached or stay below it, and nothing inside gets past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq
from scipy.stats import binom, ncx2
from scipy.stats import norm as normal

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.smoothing.bounds import lower_bound, upper_bound
from simdnn.smoothing.operator_norm import axis_matrices, operator_norm
from simdnn.smoothing.radius import attack_radius, distance, image_radius, largest_share
from simdnn.smoothing.votes import share_needed, votes_needed

SIGMA = 0.25
shares = st.floats(0.001, 0.999)
scales = st.floats(0.05, 2.0)


@given(start=shares, end=shares, sigma=scales, norm=scales)
def test_distance_and_largest_share_are_inverse(start: float, end: float, sigma: float, norm: float) -> None:
    far = float(distance(start, end, sigma=sigma, norm=norm))
    assert far == pytest.approx(max(0.0, sigma / norm * (normal.ppf(end) - normal.ppf(start))), abs=1e-9)
    assert float(largest_share(start, far, sigma=sigma, norm=norm)) == pytest.approx(
        max(start, end), rel=1e-9
    )


def test_on_a_linear_network_behind_a_resize_the_best_attack_is_as_far_as_certified() -> None:
    def mean(x: FloatArray) -> FloatArray:
        return np.asarray(x.reshape(4, 2, 3, 2).mean(axis=(1, 3)))

    vertical, horizontal = axis_matrices(mean, 8, 6)
    full, norm = np.kron(vertical, horizontal), operator_norm(mean, 8, 6)
    rng = np.random.default_rng(0)
    x = rng.random(48)
    for weights in rng.normal(size=(10, 12)):
        bias = weights @ full @ x + 0.4 * np.linalg.norm(
            weights
        )  # share of the wrong class: Phi(-0.4 / sigma)
        share = normal.cdf((weights @ full @ x - bias) / (SIGMA * np.linalg.norm(weights)))
        certified = float(distance(share, 0.7, sigma=SIGMA, norm=norm))
        direction = full.T @ weights / np.linalg.norm(full.T @ weights)  # the steepest

        def share_at(
            far: float, w: FloatArray = weights, b: float = bias, d: FloatArray = direction
        ) -> float:
            return float(normal.cdf((w @ full @ (x + far * d) - b) / (SIGMA * np.linalg.norm(w))))

        best = brentq(lambda far: share_at(far) - 0.7, 0, 10)
        assert best == pytest.approx(certified, rel=1e-9)  # all singular values of a mean are equal
        assert share_at(0.999 * certified) < 0.7
        for other in rng.normal(size=(50, 48)):
            step = certified * other / np.linalg.norm(other)
            assert normal.cdf((weights @ full @ (x + step) - bias) / (SIGMA * np.linalg.norm(weights))) < 0.7


@pytest.mark.parametrize("size", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("away", [0.3, 0.8, 1.5])
@pytest.mark.parametrize("tau", [0.3, 0.6])
def test_on_a_disc_no_attack_gets_inside_the_certified_ball(size: float, away: float, tau: float) -> None:
    """The wrong class is a disc in the plane; its share is a noncentral chi-squared law, largest at the centre."""

    def share_at(far: float | FloatArray) -> FloatArray:
        return np.asarray(ncx2.cdf((size / SIGMA) ** 2, 2, (np.asarray(far) / SIGMA) ** 2))

    certified = float(distance(share_at(away), tau, sigma=SIGMA, norm=1.0))
    angles = np.exp(1j * np.linspace(0, 2 * np.pi, 181))
    changed = np.abs(away + np.linspace(0, 0.9999 * certified, 101)[:, None] * angles)
    if certified > 0:
        assert share_at(changed).max() < tau
    if share_at(0.0) > tau > share_at(away):
        best = away - brentq(lambda far: float(share_at(far)) - tau, 1e-9, away)
        assert (
            certified < best < certified + 0.8 * size + 0.2
        )  # close, as an edge of a large disc is nearly straight


def test_on_a_nonlinear_toy_with_estimated_shares_no_attack_is_inside() -> None:
    """Wrong where both coordinates have the same sign; the true shares are products, the certificate sees counts."""
    rng, error, tau = np.random.default_rng(1), 1e-4, 0.8
    points = rng.uniform(-0.6, 0.6, size=(12, 2))
    for point in points:
        noisy = point + SIGMA * rng.normal(size=(200_000, 2))
        wrong = int((noisy.prod(axis=1) > 0).sum())
        counts = [[200_000 - wrong, wrong]]
        radius = float(attack_radius(counts, [0], tau, sigma=SIGMA, norm=1.0, error=error)[0])
        angles, steps = np.meshgrid(np.linspace(0, 2 * np.pi, 121), np.linspace(0, radius, 61))
        ends = point + np.stack([steps * np.cos(angles), steps * np.sin(angles)], axis=-1)
        positive = normal.cdf(ends / SIGMA)
        true = positive.prod(axis=-1) + (1 - positive).prod(axis=-1)
        assert true.max() < tau or radius == 0
    assert radius > 0


def test_radii_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    counts, labels = rng.multinomial(500, [0.8, 0.15, 0.05], size=40), rng.integers(3, size=40)
    expected = [
        max(
            0.0,
            min(
                SIGMA / 0.5 * (normal.ppf(0.6) - normal.ppf(float(upper_bound(int(row[c]), 500, 0.001 / 2))))
                for c in range(3)
                if c != y
            ),
        )
        for row, y in zip(counts, labels.tolist(), strict=True)
    ]
    radii = attack_radius(counts, labels, 0.6, sigma=SIGMA, norm=0.5, error=0.001)
    assert_allclose(radii, expected, atol=1e-12)
    assert (radii > 0).sum() > 10
    assert (radii == 0).sum() > 5


def test_the_deployed_rule_is_passed_no_more_often_than_the_miss_at_the_radius() -> None:
    """A linear network, attacked along its gradient by just the certified radius: the worst case, with fresh draws."""
    rng, n, tau, miss, share = np.random.default_rng(3), 50, 0.6, 0.05, 0.02
    seen = rng.binomial(1000, share, size=4000)
    counts = np.stack([1000 - seen, seen], axis=1)
    labels = np.zeros(4000, dtype=int)
    passed = {}
    for name, needed in (("true share", tau), ("draws", share_needed(tau, n, miss))):
        radii = attack_radius(counts, labels, needed, sigma=SIGMA, norm=0.5, error=0.001)
        votes = rng.binomial(n, largest_share(share, radii, sigma=SIGMA, norm=0.5))
        passed[name] = int((votes >= votes_needed(tau, n)).sum())
    assert passed["draws"] <= binom.ppf(0.9999, 4000, miss)
    assert passed["true share"] > 4 * passed["draws"]  # why the binomial error must be kept
    known = distance(share, share_needed(tau, n, miss), sigma=SIGMA, norm=0.5)
    votes = rng.binomial(n, largest_share(share, known, sigma=SIGMA, norm=0.5), size=4000)
    passes = int((votes >= votes_needed(tau, n)).sum())  # with the share known, just the miss
    assert binom.ppf(1e-4, 4000, miss) <= passes <= binom.ppf(0.9999, 4000, miss)


def test_within_the_radius_of_an_image_as_received_the_majority_stays() -> None:
    votes, n = np.array([300, 280, 200, 160, 150, 10]), 300
    radii = image_radius(votes, n, sigma=SIGMA, norm=0.5, error=0.001)
    low = lower_bound(votes, n, 0.001)
    certain = radii > 0
    assert_array_equal(certain, low > 0.5)
    assert_array_equal(certain, [True, True, True, False, False, False])
    left = largest_share(low, -radii, sigma=SIGMA, norm=0.5)  # the smallest share within the radius
    assert_allclose(left[certain], 0.5, rtol=1e-9)


@pytest.mark.parametrize("share", [0.4, 0.55, 0.9])
def test_the_radius_of_an_image_is_too_large_no_more_often_than_the_error(share: float) -> None:
    true = float(distance(0.5, share, sigma=SIGMA, norm=0.5))
    votes = np.random.default_rng(4).binomial(200, share, size=20_000)
    wrong = image_radius(votes, 200, sigma=SIGMA, norm=0.5, error=0.05) > true
    assert wrong.sum() <= binom.ppf(0.9999, 20_000, 0.05)


@given(
    right=st.integers(50, 100),
    more=st.integers(0, 50),
    tau=st.floats(0.2, 0.95),
    sigma=scales,
    norm=scales,
    factor=st.floats(1.01, 3.0),
)
def test_radii_move_the_right_way(
    right: int, more: int, tau: float, sigma: float, norm: float, factor: float
) -> None:
    def radius(right: int, tau: float, sigma: float, norm: float, error: float) -> float:
        counts = [[right, 100 - right]]
        return float(attack_radius(counts, [0], tau, sigma=sigma, norm=norm, error=error)[0])

    first = radius(right, tau, sigma, norm, 0.01)
    assert radius(right, min(0.99, tau * factor), sigma, norm, 0.01) >= first
    assert radius(min(100, right + more), tau, sigma, norm, 0.01) >= first
    assert radius(right, tau, sigma * factor, norm, 0.01) == pytest.approx(first * factor)
    assert radius(right, tau, sigma, norm * factor, 0.01) == pytest.approx(first / factor)
    assert radius(right, tau, sigma, norm, 0.001) <= first


def test_the_threshold_certifies_more_than_the_majority_does() -> None:
    arguments = {"sigma": SIGMA, "norm": 0.5, "error": 0.001}
    counts = [[980, 20]]
    majority = attack_radius(counts, [0], 0.5, **arguments)
    assert attack_radius(counts, [0], 0.7, **arguments) > majority
    assert majority == pytest.approx(image_radius([980], 1000, **arguments))


def test_extreme_counts_and_shares_stay_finite() -> None:
    radii = attack_radius([[10, 0], [0, 10]], [0, 0], 0.5, sigma=SIGMA, norm=1.0, error=1e-9)
    assert radii.tolist() == [0.0, 0.0]  # ten draws prove nothing at that error
    assert attack_radius([[10, 0]], [0], 0.0, sigma=SIGMA, norm=1.0, error=0.1).tolist() == [0.0]


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_none_can_need_is_refused(share: float) -> None:
    with pytest.raises(InputError) as refused:
        attack_radius([[9, 1]], [0], share, sigma=SIGMA, norm=1.0, error=0.1)
    assert str(refused.value) == f"expected a share in [0, 1) that an attack needs; got {share}"


@pytest.mark.parametrize(("sigma", "norm"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_noise_and_norm_are_above_zero(sigma: float, norm: float) -> None:
    with pytest.raises(
        InputError, match=r"^expected a standard deviation and an operator norm above 0; got "
    ):
        distance(0.1, 0.2, sigma=sigma, norm=norm)
