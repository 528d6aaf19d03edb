"""The similarity profile against an obvious reference, its laws, and what it is to tell apart."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.rules.statistics import LEAST_GAIN, LEAST_MARGIN, WEIGHTS, SimilarityProfile, compare_views

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
    np.testing.assert_allclose(compare_views(features, logits), expected, atol=1e-5)


def test_score_equals_the_obvious_one() -> None:
    clean, new = images(200, 1), images(15, 2, jump=0.05)
    views, similarity = compare_views(*clean[:2]), clean[2]
    doubts, new_doubts = np.random.default_rng(0).normal(size=200), np.random.default_rng(1).normal(size=15)
    profile = SimilarityProfile.learn(views, similarity, doubts)

    def sources(
        views: FloatArray, similarity: FloatArray, doubts: FloatArray
    ) -> list[tuple[FloatArray, FloatArray]]:
        gap, gain, lead, margin, spread, unlike = views.T
        return [
            (np.log1p(np.exp(gap - profile.scale[0])), np.log1p(np.exp(spread - profile.scale[1]))),
            (gain, unlike),
            (-lead, unlike),
            (-margin, np.zeros(len(gap))),
            (np.log(1 / similarity - 1), np.zeros(len(gap))),
            (doubts, np.zeros(len(gap))),
        ]

    total = np.zeros(15)
    new_views = compare_views(*new[:2])
    for weight, (y, x), (y_new, x_new) in zip(
        WEIGHTS, sources(views, similarity, doubts), sources(new_views, new[2], new_doubts), strict=True
    ):
        line = np.polyfit(x, y, 1) if x.any() else np.array([0.0, y.mean()])
        short = (y_new - np.polyval(line, x_new)) / (y - np.polyval(line, x)).std()
        total += weight * np.maximum(short, 0) ** 2
    np.testing.assert_allclose(profile.score(new_views, new[2], new_doubts), -np.sqrt(total), rtol=1e-6)


def test_without_a_witness_there_is_a_source_less() -> None:
    clean, new = images(200, 1), images(15, 2)
    views, new_views = compare_views(*clean[:2]), compare_views(*new[:2])
    plain = SimilarityProfile.learn(views, clean[2])
    agreeing = SimilarityProfile.learn(views, clean[2], np.linspace(-1, 1, 200))
    assert plain.shortfalls(new_views, new[2]).shape == (15, len(WEIGHTS) - 1)
    np.testing.assert_allclose(
        plain.score(new_views, new[2]), agreeing.score(new_views, new[2], np.full(15, -1.0))
    )


def test_an_image_apart_from_its_views_scores_low_and_a_restless_one_does_not() -> None:
    clean = images(400, 3)
    profile = SimilarityProfile.learn(compare_views(*clean[:2]), clean[2])
    fresh, attacked = images(400, 4), images(400, 5, jump=0.5)
    usual = profile.score(compare_views(*fresh[:2]), fresh[2])
    low = profile.score(compare_views(*attacked[:2]), attacked[2])
    assert np.mean(low[:, None] < usual[None, :]) > 0.95
    assert len(np.unique(usual)) > 300


def test_restless_images_are_not_held_against_themselves() -> None:
    clean, fresh = images(400, 3), images(400, 4)
    views = compare_views(*clean[:2])
    fair = SimilarityProfile.learn(views, clean[2])
    deaf = SimilarityProfile.learn(views * [1, 1, 1, 1, 0, 0], clean[2])  # does not hear of the views' spread
    seen = compare_views(*fresh[:2])
    unrest = seen[:, 4]
    blamed = np.corrcoef(unrest, deaf.score(seen * [1, 1, 1, 1, 0, 0], fresh[2]))[0, 1]
    forgiven = np.corrcoef(unrest, fair.score(seen, fresh[2]))[0, 1]
    assert blamed < -0.5
    assert abs(forgiven) < abs(blamed) / 1.5


def test_one_view_is_enough_to_compare_with() -> None:
    clean = images(50, 6, views=1)
    views = compare_views(*clean[:2])
    assert (views[:, 4:] == 0).all()
    assert SimilarityProfile.learn(views, clean[2]).slope.tolist() == [0] * 5


def test_direction_counts_and_length_does_not() -> None:
    features, logits, _ = images(10, 7)
    stretched = features * np.random.default_rng(0).uniform(0.5, 2, (10, 3, 1))
    np.testing.assert_allclose(
        compare_views(features, logits)[:, [0, 4]], compare_views(stretched, logits)[:, [0, 4]], atol=1e-6
    )


def test_no_view() -> None:
    features, logits, _ = images(5, 8)
    with pytest.raises(
        InputError, match=r"each image and at least one view.*got \(5, 1, 30\) and \(5, 1, 7\)"
    ):
        compare_views(features[:, :1], logits[:, :1])


def test_too_few_images() -> None:
    features, logits, similarity = images(9, 9)
    with pytest.raises(InputError, match="expected at least 10 clean images to learn a profile from, got 9"):
        SimilarityProfile.learn(compare_views(features, logits), similarity)


def test_an_image_just_across_the_boundary_scores_low() -> None:
    """Its own answer is as firm as others', but the views fall back to another class."""
    clean, fresh = images(400, 3), images(400, 4)
    profile = SimilarityProfile.learn(compare_views(*clean[:2]), clean[2])
    features, logits, similarity = fresh
    usual = profile.score(compare_views(features, logits), similarity)
    turned = logits.copy()
    top, second = np.argsort(logits[:, 0], axis=1)[:, -1], np.argsort(logits[:, 0], axis=1)[:, -2]
    rows = np.arange(len(turned))
    turned[rows, 0, second] = turned[rows, 0, top] + 0.01  # the attack: the second class wins by a hair
    low = profile.score(compare_views(features, turned), similarity)
    assert np.mean(low[:, None] < usual[None, :]) > 0.75
