"""Draws from a secret: the same on every machine and in any blocks, normal, and others for any other image."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom, kstest, norm

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.smoothing.draws import image_seed, noise
from simdnn.smoothing.radius import distance
from simdnn.smoothing.votes import early_decision, share_needed, votes_needed

SECRET = bytes(range(32))
GOLDEN = [[0.3964663, -0.2653185], [0.1097588, 0.1503068], [2.1547503, -1.4105941]]


def test_seed_is_the_head_of_the_hmac() -> None:
    digest = hmac.new(SECRET, b"pixels", hashlib.sha256).hexdigest()
    assert f"{image_seed(SECRET, b'pixels'):032x}" == digest[:32]


def test_any_other_secret_or_image_has_another_seed() -> None:
    image = bytearray(1000)
    seeds = {image_seed(SECRET, bytes(image))}
    for place in range(200):
        image[place] ^= 1
        seeds.add(image_seed(SECRET, bytes(image)))
    seeds.add(image_seed(SECRET[::-1], bytes(1000)))
    assert len(seeds) == 202


def test_draws_are_the_same_on_every_machine() -> None:
    drawn = noise(image_seed(SECRET, b"pixels"), 0, 3, (2,))
    assert drawn.dtype == np.float32
    assert_allclose(drawn, GOLDEN, rtol=1e-6)


def test_blocks_do_not_change_the_draws() -> None:
    whole = noise(5, 0, 12, (3, 4))
    assert whole.shape == (12, 3, 4)
    for size in (1, 5, 7):
        blocks = [noise(5, start, min(start + size, 12), (3, 4)) for start in range(0, 12, size)]
        assert_array_equal(np.concatenate(blocks), whole)
    assert noise(5, 4, 4, (3, 4)).shape == (0, 3, 4)


def test_draws_are_standard_normal_and_unrelated() -> None:
    drawn = np.stack([noise(seed, 0, 40, (500,)) for seed in (0, 1, (1 << 128) - 1)])
    assert kstest(drawn.ravel(), "norm").pvalue > 1e-3
    of_each = drawn.reshape(120, 500).astype(np.float64)
    correlations: FloatArray = np.asarray(np.corrcoef(of_each))[np.triu_indices(120, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(500)
    assert correlations.std() == pytest.approx(1 / np.sqrt(500), rel=0.1)


def test_with_keyed_draws_attacks_at_the_radius_pass_no_more_often_than_the_miss() -> None:
    """A linear auxiliary network on 12 values; each image is moved to just where the certificate ends."""
    rng, n, tau, miss, images = np.random.default_rng(0), 50, 0.7, 0.05, 600
    weights = rng.normal(size=12)
    weights /= np.linalg.norm(weights)
    share = share_needed(tau, n, miss)
    radius = float(distance(norm.cdf(-0.3 / 0.25), share, sigma=0.25, norm=1.0))
    passed = 0
    for image in rng.random((images, 12)):
        bias = (
            weights @ image + 0.3
        )  # 0.3 from the boundary: the wrong class has a share of Phi(-0.3 / sigma)
        attacked = image + radius * weights
        drawn = attacked + 0.25 * noise(image_seed(SECRET, attacked.tobytes()), 0, n, (12,))
        votes = np.cumsum(drawn @ weights > bias).tolist()
        decisions = [early_decision(votes[d - 1], d, n, tau) for d in range(1, n + 1)]
        decided = next(decision for decision in decisions if decision is not None)
        assert decided == (votes[-1] >= votes_needed(tau, n))
        passed += decided
    assert binom.ppf(1e-4, images, miss) <= passed <= binom.ppf(0.9999, images, miss)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"^expected a secret of at least 16 bytes; got 3; make one with secrets\.token_bytes\(32\)$",
    ):
        image_seed(b"abc", b"pixels")


@pytest.mark.parametrize("seed", [-1, 1 << 128])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match=f"^expected a seed of 128 bits; got {seed}$"):
        noise(seed, 0, 1, (1,))


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (2, 1)])
def test_draws_out_of_order_are_refused(start: int, stop: int) -> None:
    with pytest.raises(
        InputError, match=f"^expected draws from 0 on, in rising order; got {start} to {stop}$"
    ):
        noise(0, start, stop, (1,))
