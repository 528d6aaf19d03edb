"""Six statistics that compare an image with views of itself, that is, with slightly shifted copies.

The features of a clean image lie among those of its views. The features of an attacked image lie apart from them, since
the attack is tuned to the exact pixels. The spread of the views differs between images, so it is measured, too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from simdnn.arrays import Array, at, best_other, double, namespace
from simdnn.errors import InputError

LEAST_GAIN = 0.05
"""Smaller values of the gain behind ``class_gain`` are raised to this, in log-odds."""

LEAST_MARGIN = 0.005
"""Smaller values of the margin behind ``margin`` are raised to this, in log-odds; few clean images have so small a
margin."""

_TINY = 1e-9


@dataclass(frozen=True)
class ViewStatistics:
    """Statistics of N images and their views, (N,) each.

    Attributes
    ----------
    feature_distance : logarithm of the squared distance between the image's features and the mean of the views'
        features, each at unit length
    class_gain : logarithm of the largest gain of another class: the increase of (its logit minus the predicted class's)
        from the image to the mean logits of its views
    lead : the predicted class's logit minus the largest other one, in the mean logits of the views; negative where an
        attack ended just across the decision boundary
    margin : logarithm of the predicted class's logit minus the largest other one, in the image itself
    feature_spread, logit_spread : logarithm of the mean squared distance between two views, of their features at unit
        length and of their logits; 0 for a single view
    """

    feature_distance: Array
    class_gain: Array
    lead: Array
    margin: Array
    feature_spread: Array
    logit_spread: Array

    def take(self, rows: Array) -> ViewStatistics:
        """Return the statistics of some of the images, by indices or by a mask (N,)."""
        return ViewStatistics(**{name: getattr(self, name)[rows] for name in STATISTICS})

    def joined(self, other: ViewStatistics) -> ViewStatistics:
        """Return those of these images and then of others."""
        xp = namespace(self.margin)
        return ViewStatistics(
            **{name: xp.concat([getattr(self, name), getattr(other, name)]) for name in STATISTICS}
        )


STATISTICS = tuple(field.name for field in fields(ViewStatistics))
"""Names of the statistics."""


def compare_views(
    features: Array, view_features: Array, logits: Array, view_logits: Array, predictions: Array
) -> ViewStatistics:
    """Compare N images with V >= 1 views of each.

    Parameters
    ----------
    features, view_features : (N, d) and (N, V, d)
    logits, view_logits : (N, K) and (N, V, K) logits of the protected network
    predictions : (N,) index of the predicted class of each image

    Raises
    ------
    InputError
        If there is no view, or the shapes do not match.
    """
    expected = (*view_features.shape[:2], logits.shape[-1])
    if view_features.ndim != 3 or not view_features.shape[1] or view_logits.shape != expected:
        raise InputError(
            f"expected features and logits of each image and at least one view, (N, 1 or more, d); "
            f"got {tuple(view_features.shape)} and {tuple(view_logits.shape)}"
        )
    xp = namespace(features)
    direction, directions = _unit(double(features)), _unit(double(view_features))
    squared_distance = xp.sum((direction - xp.mean(directions, axis=1)) ** 2, axis=1)

    log_odds = _log_odds(double(logits), predictions)
    view_log_odds = _log_odds(xp.mean(double(view_logits), axis=1), predictions)
    gain = best_other(view_log_odds - log_odds, predictions)
    margin = -best_other(log_odds, predictions)
    return ViewStatistics(
        feature_distance=xp.log(squared_distance + _TINY),
        class_gain=xp.log(xp.clip(gain, min=LEAST_GAIN)),
        lead=-best_other(view_log_odds, predictions),
        margin=xp.log(xp.clip(margin, min=LEAST_MARGIN)),
        feature_spread=_log_spread(directions),
        logit_spread=_log_spread(double(view_logits)),
    )


def _unit(features: Array) -> Array:
    """Scale (..., d) features to unit length."""
    xp = namespace(features)
    return features / (xp.linalg.vector_norm(features, axis=-1)[..., None] + _TINY)


def _log_odds(logits: Array, predictions: Array) -> Array:
    """Return (N, K) the log-odds of each class against the predicted one: its logit minus the predicted class's."""
    return logits - at(logits, predictions)[:, None]


def _log_spread(views: Array) -> Array:
    """Return the logarithm of the mean squared distance between two views: (N, V, d) to (N,); 0 for a single view."""
    xp, count = namespace(views), views.shape[1]
    if count == 1:
        return xp.zeros_like(views[:, 0, 0])
    about_mean = xp.sum((views - xp.mean(views, axis=1)[:, None]) ** 2, axis=(1, 2))
    return xp.log(2 * about_mean / (count - 1) + _TINY)
