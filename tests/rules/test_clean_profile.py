"""View statistics and the clean profile against an obvious reference, their laws, and what they are to tell apart."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from simdnn.arrays import Array, FloatArray
from simdnn.errors import InputError
from simdnn.rules.clean_profile import CleanProfile
from simdnn.rules.sources import SOURCES, Measured
from simdnn.rules.view_statistics import LEAST_GAIN, LEAST_MARGIN, STATISTICS, ViewStatistics, compare_views

Images = tuple[FloatArray, FloatArray, FloatArray]


def images(n: int, seed: int, *, views: int = 2, jump: float = 0.0) -> Images:
    """Features and logits of images that scatter about their views; ``jump`` sets the image itself apart."""
    draw = np.random.default_rng(seed)
    unrest = np.exp(draw.normal(-3, 0.7, (n, 1, 1)))  # some images are sensitive by nature
    centre = draw.uniform(0, 1, (n, 1, 30))
    features = centre + unrest * draw.normal(size=(n, 1 + views, 30))
    logits = draw.normal(0, 3, (n, 1, 7)) + 10 * unrest * draw.normal(size=(n, 1 + views, 7))
    features[:, 0] += jump * draw.normal(size=(n, 30))
    logits[:, 0, 0] += 40 * jump
    return features, logits, draw.uniform(0.2, 0.8, n)


def compared(features: Array, logits: Array) -> ViewStatistics:
    """Compare images, the first of each row, with their views, the others."""
    return compare_views(features[:, 0], features[:, 1:], logits[:, 0], logits[:, 1:], logits[:, 0].argmax(1))


def table(views: ViewStatistics) -> FloatArray:
    return np.stack([getattr(views, name) for name in STATISTICS], axis=1)


def measured(given: Images) -> Measured:
    return Measured(compared(*given[:2]), given[2])


def naive_comparison(features: FloatArray, logits: FloatArray) -> list[float]:
    """Compare one image with its views, number by number."""
    unit = [row / sum(value**2 for value in row) ** 0.5 for row in features]
    views = unit[1:]
    mean = sum(views) / len(views)
    gap = sum((unit[0] - mean) ** 2)
    top = max(range(len(logits[0])), key=lambda k: logits[0][k])
    gains = []
    for k in range(len(logits[0])):
        if k != top:
            after = sum(row[k] - row[top] for row in logits[1:]) / len(views)
            gains.append(after - (logits[0][k] - logits[0][top]))
    pairs = [(i, j) for i in range(len(views)) for j in range(i)]
    spread = sum(sum((views[i] - views[j]) ** 2) for i, j in pairs) / len(pairs)
    unlike = sum(sum((logits[1 + i] - logits[1 + j]) ** 2) for i, j in pairs) / len(pairs)
    after = [sum(row[k] for row in logits[1:]) / len(views) for k in range(len(logits[0]))]
    lead = after[top] - max(value for k, value in enumerate(after) if k != top)
    ranked = sorted(logits[0])
    margin = max(LEAST_MARGIN, ranked[-1] - ranked[-2])
    return [log(gap), log(max(LEAST_GAIN, *gains)), lead, log(margin), log(spread), log(unlike)]


@pytest.mark.parametrize("views", [2, 3, 4])
def test_comparison_equals_the_obvious_one(views: int) -> None:
    features, logits, _ = images(20, 0, views=views, jump=0.3)
    expected = [naive_comparison(f, z) for f, z in zip(features, logits, strict=True)]
    np.testing.assert_allclose(table(compared(features, logits)), expected, atol=1e-5)
    tensors = compared(torch.from_numpy(features), torch.from_numpy(logits))
    np.testing.assert_allclose(table(tensors), expected, atol=1e-5)


def test_score_equals_the_obvious_one() -> None:
    clean, new = images(200, 1), images(15, 2, jump=0.05)
    profile = CleanProfile.learn(measured(clean))

    def pairs(given: Images) -> list[tuple[FloatArray, FloatArray]]:
        gap, gain, lead, margin, spread, unlike = table(compared(*given[:2])).T
        none = np.zeros(len(gap))
        return [
            (
                np.log1p(np.exp(gap - profile.scales.distance)),
                np.log1p(np.exp(spread - profile.scales.spread)),
            ),
            (gain, unlike),
            (-lead, unlike),
            (-margin, none),
            (np.log(1 / given[2] - 1), none),
        ]

    total = np.zeros(15)
    for source, (y, x), (y_new, x_new) in zip(SOURCES, pairs(clean), pairs(new), strict=True):
        line = np.polyfit(x, y, 1) if x.any() else np.array([0.0, y.mean()])
        short = (y_new - np.polyval(line, x_new)) / (y - np.polyval(line, x)).std()
        total += source.weight * np.maximum(short, 0) ** 2
    np.testing.assert_allclose(profile.score(measured(new)), -np.sqrt(total), rtol=1e-6)
    tensors = (torch.from_numpy(new[0]), torch.from_numpy(new[1]))
    in_torch = Measured(compared(*tensors), torch.from_numpy(new[2]))
    np.testing.assert_allclose(profile.score(in_torch), -np.sqrt(total), rtol=1e-6)


def test_the_score_of_an_image_like_clean_ones_has_a_gradient() -> None:
    """Where nothing speaks for an attack the score is at its top, and its gradient is 0, not infinite."""
    profile = CleanProfile.learn(measured(images(200, 1)))
    features, logits, similarity = (torch.from_numpy(part) for part in images(200, 3))
    features.requires_grad_(True)
    score = profile.score(Measured(compared(features, logits), similarity))
    (gradient,) = torch.autograd.grad(score.sum(), features)
    assert (score > -1e-6).any()
    assert gradient.isfinite().all()


def test_an_image_apart_from_its_views_scores_low_and_a_restless_one_does_not() -> None:
    clean = images(400, 3)
    profile = CleanProfile.learn(measured(clean))
    fresh, attacked = images(400, 4), images(400, 5, jump=0.5)
    usual = profile.score(measured(fresh))
    low = profile.score(measured(attacked))
    assert np.mean(low[:, None] < usual[None, :]) > 0.95
    assert len(np.unique(usual)) > 300


def test_restless_images_are_not_held_against_themselves() -> None:
    def deaf(given: Measured) -> Measured:
        """Does not hear of the views' spread."""
        none = np.zeros(len(given.similarity))
        return replace(given, views=replace(given.views, feature_spread=none, logit_spread=none))

    clean, fresh = measured(images(400, 3)), measured(images(400, 4))
    unrest = fresh.views.feature_spread
    blamed = np.corrcoef(unrest, CleanProfile.learn(deaf(clean)).score(deaf(fresh)))[0, 1]
    forgiven = np.corrcoef(unrest, CleanProfile.learn(clean).score(fresh))[0, 1]
    assert blamed < -0.5
    assert abs(forgiven) < abs(blamed) / 1.5


def test_one_view_is_enough_to_compare_with() -> None:
    clean = measured(images(50, 6, views=1))
    assert not clean.views.feature_spread.any()
    assert not clean.views.logit_spread.any()
    assert [line.slope for line in CleanProfile.learn(clean).lines.values()] == [0] * 5


def test_direction_counts_and_length_does_not() -> None:
    features, logits, _ = images(10, 7)
    stretched = features * np.random.default_rng(0).uniform(0.5, 2, (10, 3, 1))
    one, other = compared(features, logits), compared(stretched, logits)
    np.testing.assert_allclose(one.feature_distance, other.feature_distance, atol=1e-6)
    np.testing.assert_allclose(one.feature_spread, other.feature_spread, atol=1e-6)


def test_no_view() -> None:
    features, logits, _ = images(5, 8)
    with pytest.raises(
        InputError, match=r"each image and at least one view.*got \(5, 0, 30\) and \(5, 0, 7\)"
    ):
        compared(features[:, :1], logits[:, :1])


def test_too_few_images() -> None:
    with pytest.raises(InputError, match="expected at least 10 clean images to learn a profile from, got 9"):
        CleanProfile.learn(measured(images(9, 9)))


def test_an_image_just_across_the_boundary_scores_low() -> None:
    """Its own answer is as firm as others', but the views fall back to another class."""
    clean, fresh = images(400, 3), images(400, 4)
    profile = CleanProfile.learn(measured(clean))
    features, logits, similarity = fresh
    usual = profile.score(measured(fresh))
    turned = logits.copy()
    top, second = np.argsort(logits[:, 0], axis=1)[:, -1], np.argsort(logits[:, 0], axis=1)[:, -2]
    rows = np.arange(len(turned))
    turned[rows, 0, second] = turned[rows, 0, top] + 0.01  # the attack: the second class wins by a hair
    low = profile.score(measured((features, turned, similarity)))
    assert np.mean(low[:, None] < usual[None, :]) > 0.75
