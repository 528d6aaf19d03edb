"""The similarity profile: how an image compares with the prototypes and with harmless views of itself.

A clean image's features lie among those of its views; an attacked image's stand apart from them, since the attack was
tuned to the exact pixels. How far apart the views of one image lie differs from image to image, so the distance of
the image to its views is held against the distance of the views from each other. Everything is learned from clean
images; ``docs/detection.md`` tells how it was chosen and what each part is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import FloatArray
from simdnn.errors import InputError

SOURCES = ("features", "posterior", "label", "margin", "prototypes", "witness")
"""What a profile consists of: agreement of the features with those of the views, of the posterior, how firmly the views
keep the image's label, how far it is from the decision boundary, eq. (10), and, in a hardened guard, the witness."""

WEIGHTS = (1.0, 1.0, 2.0, 0.5, 0.49, 16.0)
"""Weight of each source's squared shortfall in the score."""

LEAST_GAIN = 0.05
"""Smaller gains of another class on the top class count as this much, in log-odds."""

LEAST_MARGIN = 0.005
"""Smaller margins of the top class count as this much, in log-odds: few clean images come so near to a boundary."""

_TINY = 1e-9
_FEWEST = 10


def compare_views(features: NDArray[np.floating], logits: NDArray[np.floating]) -> FloatArray:
    """Compare images with views of themselves.

    Parameters
    ----------
    features : (N, 1 + V, d) features, the image's own first, then those of its V >= 1 views
    logits : (N, 1 + V, K) logits of the protected network, likewise

    Returns
    -------
    (N, 6): the logarithm of the squared angular distance of the image to the mean of its views; the logarithm of the
    most that any class gains on the image's top class, in log-odds, from the image to the mean of its views; how far
    the mean of the views puts that top class ahead of all others, in log-odds (behind them where an attack ended just
    across the boundary); the logarithm of the margin of the top class in the image itself (tiny there); and the
    logarithm of the mean squared distance between two views, of their directions and of their logits (0 for a single
    view).

    Raises
    ------
    InputError
        If there is no view.
    """
    if features.ndim != 3 or features.shape[1] < 2 or logits.shape[:2] != features.shape[:2]:
        raise InputError(
            f"expected features and logits of each image and at least one view, (N, 2 or more, d); "
            f"got {features.shape} and {logits.shape}"
        )
    directions = features.astype(np.float64)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True) + _TINY
    apart = ((directions[:, 0] - directions[:, 1:].mean(axis=1)) ** 2).sum(axis=1)

    values = logits.astype(np.float64)
    top = values[:, 0].argmax(axis=1)[:, None, None]
    behind = values - np.take_along_axis(values, top, axis=2)
    behind_in_views = behind[:, 1:].mean(axis=1)
    gains, own = behind_in_views - behind[:, 0], behind[:, 0].copy()
    for of_top in (gains, behind_in_views, own):
        np.put_along_axis(of_top, top[:, 0], -np.inf, axis=1)
    columns = (
        np.log(apart + _TINY),
        np.log(np.maximum(gains.max(axis=1), LEAST_GAIN)),
        -behind_in_views.max(axis=1),
        np.log(np.maximum(-own.max(axis=1), LEAST_MARGIN)),
        _log_spread(directions[:, 1:]),
        _log_spread(values[:, 1:]),
    )
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class SimilarityProfile:
    """What clean images' profiles look like.

    Attributes
    ----------
    scale : (2,) logarithms of sigma^2 of eq. (10), for the distance of the features to those of the views and for the
        views' distance from each other: geometric means over clean images
    slope, intercept : (s,) least-squares line of each source over the spread of the views; s is 6, 5 without a witness
    deviation : (s,) standard deviation about it
    """

    scale: FloatArray
    slope: FloatArray
    intercept: FloatArray
    deviation: FloatArray

    @classmethod
    def learn(
        cls, views: FloatArray, similarity: ArrayLike, disagreement: ArrayLike | None = None
    ) -> SimilarityProfile:
        """Learn from N clean images.

        Parameters
        ----------
        views : (N, 6) what :func:`compare_views` gave
        similarity : (N,) similarity to the most similar prototype, eq. (10)
        disagreement : (N,) what :func:`simdnn.rules.disagreement.disagreement` gave, where there is a witness

        Raises
        ------
        InputError
            If there are fewer than ten.
        """
        if len(views) < _FEWEST:
            raise InputError(
                f"expected at least {_FEWEST} clean images to learn a profile from, got {len(views)}; give more"
            )
        scale = views[:, [0, 4]].mean(axis=0)
        values, spreads = _columns(views, similarity, disagreement, scale)
        centred = spreads - spreads.mean(axis=0)
        scatter = (centred**2).sum(axis=0)
        slope = np.divide(
            (centred * values).sum(axis=0), scatter, out=np.zeros(values.shape[1]), where=scatter > _TINY
        )
        intercept = values.mean(axis=0) - slope * spreads.mean(axis=0)
        deviation = (values - slope * spreads - intercept).std(axis=0)
        return cls(scale, slope, intercept, np.maximum(deviation, _TINY))

    def shortfalls(
        self, views: FloatArray, similarity: ArrayLike, disagreement: ArrayLike | None = None
    ) -> FloatArray:
        """Return how much less similar than clean images each is: (N, s), in their standard deviations.

        A column for each of `SOURCES`; what is positive speaks for an attack.
        """
        values, spreads = _columns(views, similarity, disagreement, self.scale)
        shortfalls: FloatArray = (values - self.slope * spreads - self.intercept) / self.deviation
        return shortfalls

    def score(
        self, views: FloatArray, similarity: ArrayLike, disagreement: ArrayLike | None = None
    ) -> FloatArray:
        """Score N images: (N,), at most 0; high is clean.

        Minus the length of the weighted shortfalls, in standard deviations of clean images; surpluses do not count.
        """
        short = np.maximum(self.shortfalls(views, similarity, disagreement), 0.0)
        return np.asarray(-np.sqrt(short**2 @ np.array(WEIGHTS[: short.shape[1]])), dtype=np.float64)


def _columns(
    views: FloatArray, similarity: ArrayLike, disagreement: ArrayLike | None, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the sources' values, high for an attack, and the spreads that they are held against, (N, s) each.

    The features' are ``-log S`` of eq. (10); the prototypes' is the logarithm of the squared distance behind it.
    """
    gap, spread = np.logaddexp(0.0, views[:, [0, 4]] - scale).T
    nearest = np.clip(np.asarray(similarity, dtype=np.float64), _TINY, 1 - _TINY)
    values = [gap, views[:, 1], -views[:, 2], -views[:, 3], np.log(1 / nearest - 1)]
    if disagreement is not None:
        values.append(np.asarray(disagreement, dtype=np.float64))
    spreads = np.zeros((len(views), len(values)))
    spreads[:, 0], spreads[:, 1:3] = spread, views[:, 5:]
    return np.column_stack(values), spreads


def _log_spread(views: FloatArray) -> FloatArray:
    """Logarithm of the mean squared distance between two views: (N, V, d) to (N,); 0 for a single view."""
    count = views.shape[1]
    if count == 1:
        return np.zeros(len(views))
    about_mean = ((views - views.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2))
    return np.asarray(np.log(2 * about_mean / (count - 1) + _TINY), dtype=np.float64)
