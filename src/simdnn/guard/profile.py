"""The profile rule of a guard: its views, and what they say of clean images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.core.equations import FloatArray
from simdnn.core.estimator import SimDNN
from simdnn.core.profile import SimilarityProfile, compare_views
from simdnn.errors import InputError
from simdnn.features.extract import Batch, Extraction
from simdnn.features.views import View

LEVELS = {"light": 1, "standard": 2, "full": 4}
"""Views at each level; an image costs one pass of the network more for each."""

LEARNED = 1000
"""Images, at most, from which clean profiles are learned."""


@dataclass(frozen=True)
class GuardProfile:
    """What the rule ``"profile"`` of a guard needs.

    Attributes
    ----------
    views : harmless changes, drawn for this guard alone; whoever knows them can tune an attack to them
    clean : what clean images' profiles look like
    calibration : (n, 4) what the views say of each calibration image, in their order
    """

    views: tuple[View, ...]
    clean: SimilarityProfile
    calibration: FloatArray

    def score(self, batch: Batch, similarities: FloatArray) -> FloatArray:
        """Score the images of a batch; ``similarities`` (N, M) to all prototypes."""
        return self.clean.score(compared(batch), similarities.max(axis=1))

    def calibration_scores(self, model: SimDNN) -> FloatArray:
        """Score the calibration images by the prototypes as they are now: (n,)."""
        return self.clean.score(self.calibration, model.calibration_scores("similarity"))

    def pack(self) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
        """Return the views, and arrays, for the guard file."""
        line = np.stack([self.clean.slope, self.clean.intercept, self.clean.deviation])
        return [view.as_dict() for view in self.views], {
            "profile": line,
            "profile_calibration": self.calibration,
        }

    @classmethod
    def unpack(cls, views: list[dict[str, Any]], tensors: Mapping[str, NDArray[Any]]) -> Self:
        """Undo :meth:`pack`."""
        slope, intercept, deviation = tensors["profile"]
        return cls(
            tuple(View.from_dict(view) for view in views),
            SimilarityProfile(slope, intercept, deviation),
            tensors["profile_calibration"],
        )


def compared(images: Batch | Extraction) -> FloatArray:
    """Compare images with their views: (N, 4), see :func:`simdnn.core.profile.compare_views`."""
    features = np.concatenate([images.features[:, None], images.view_features], axis=1)
    logits = np.concatenate([images.logits[:, None], images.view_logits], axis=1)
    return compare_views(features, logits)


def draw_views(level: str, secret: int) -> tuple[View, ...]:
    """Draw the views of one guard.

    They come in pairs, moved by odd numbers of pixels to opposite sides, so that the image lies between them: an odd
    shift breaks the alignment with a network's strides, on which attacks rely.

    Parameters
    ----------
    level : one of `LEVELS`
    secret : seed of the draw

    Raises
    ------
    InputError
        If there is no such level.
    """
    if level not in LEVELS:
        raise InputError(f"no level {level!r}; the levels are {', '.join(LEVELS)}")
    draw = np.random.default_rng(secret)
    views: list[View] = []
    while len(views) < LEVELS[level]:
        right, down = (int(draw.choice([-1, 1])) for _ in range(2))
        pair = (
            View(right=right * _odd(draw), down=down * _odd(draw)),
            View(right=-right * _odd(draw), down=-down * _odd(draw)),
        )
        views.extend(pair)
    return tuple(views[: LEVELS[level]])


def _odd(draw: np.random.Generator) -> int:
    return int(draw.choice([1, 3]))
