"""How an image compares with harmless views of itself, as six numbers.

A clean image's features lie among those of its views; an attacked image's stand apart from them, since the attack was
tuned to the exact pixels. How far apart the views of one image lie differs from image to image, and is measured, too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from simdnn.arrays import Array, at, best_other, double, namespace
from simdnn.errors import InputError

LEAST_GAIN = 0.05
"""Smaller gains of another class on the predicted class count as this much, in log-odds."""

LEAST_MARGIN = 0.005
"""Smaller margins of the predicted class count as this much, in log-odds: few clean images are so near a boundary."""

_TINY = 1e-9


@dataclass(frozen=True)
class ViewStatistics:
    """Statistics of N images and their views, (N,) each.

    Attributes
    ----------
    feature_distance : logarithm of the squared angular distance of the features to the mean of the views'
    class_gain : logarithm of the most that any class gains on the predicted class, in log-odds, from the image to the
        mean of its views
    lead : how far the mean of the views puts the predicted class ahead of all others, in log-odds; negative where an
        attack ended just across the decision boundary
    margin : logarithm of the predicted class's margin in the image itself, in log-odds
    feature_spread, logit_spread : logarithm of the mean squared distance between two views, of the directions of their
        features and of their logits; 0 for a single view
    """

    feature_distance: Array
    class_gain: Array
    lead: Array
    margin: Array
    feature_spread: Array
    logit_spread: Array

    def take(self, rows: Array) -> ViewStatistics:
        """Return those of some of the images."""
        return ViewStatistics(**{name: getattr(self, name)[rows] for name in STATISTICS})

    def joined(self, other: ViewStatistics) -> ViewStatistics:
        """Return those of these images and then of others."""
        xp = namespace(self.margin)
        return ViewStatistics(
            **{name: xp.concat([getattr(self, name), getattr(other, name)]) for name in STATISTICS}
        )


STATISTICS = tuple(field.name for field in fields(ViewStatistics))


def compare_views(
    features: Array, view_features: Array, logits: Array, view_logits: Array, predictions: Array
) -> ViewStatistics:
    """Compare N images with V >= 1 views of each.

    Parameters
    ----------
    features, view_features : (N, d) and (N, V, d)
    logits, view_logits : (N, K) and (N, V, K), of the protected network
    predictions : (N,) the network's outputs for the images

    Raises
    ------
    InputError
        If there is no view, or the shapes do not belong together.
    """
    expected = (*view_features.shape[:2], logits.shape[-1])
    if view_features.ndim != 3 or not view_features.shape[1] or view_logits.shape != expected:
        raise InputError(
            f"expected features and logits of each image and at least one view, (N, 1 or more, d); "
            f"got {tuple(view_features.shape)} and {tuple(view_logits.shape)}"
        )
    xp = namespace(features)
    direction, directions = _unit(double(features)), _unit(double(view_features))
    apart = xp.sum((direction - xp.mean(directions, axis=1)) ** 2, axis=1)

    behind = _behind(double(logits), predictions)
    behind_in_views = _behind(xp.mean(double(view_logits), axis=1), predictions)
    gain = best_other(behind_in_views - behind, predictions)
    margin = -best_other(behind, predictions)
    return ViewStatistics(
        feature_distance=xp.log(apart + _TINY),
        class_gain=xp.log(xp.clip(gain, LEAST_GAIN)),
        lead=-best_other(behind_in_views, predictions),
        margin=xp.log(xp.clip(margin, LEAST_MARGIN)),
        feature_spread=_log_spread(directions),
        logit_spread=_log_spread(double(view_logits)),
    )


def _unit(features: Array) -> Array:
    """Divide (..., d) by their lengths."""
    xp = namespace(features)
    return features / (xp.linalg.vector_norm(features, axis=-1)[..., None] + _TINY)


def _behind(logits: Array, predictions: Array) -> Array:
    """Return how far each class of (N, K) is behind the predicted one, as numbers up to 0 where that leads."""
    return logits - at(logits, predictions)[:, None]


def _log_spread(views: Array) -> Array:
    """Logarithm of the mean squared distance between two views: (N, V, d) to (N,); 0 for a single view."""
    xp, count = namespace(views), views.shape[1]
    if count == 1:
        return xp.zeros_like(views[:, 0, 0])
    about_mean = xp.sum((views - xp.mean(views, axis=1)[:, None]) ** 2, axis=(1, 2))
    return xp.log(2 * about_mean / (count - 1) + _TINY)
