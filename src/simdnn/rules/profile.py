"""The default rule ``"profile"`` where there is no second opinion: an image against prototypes and views of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import Array
from simdnn.errors import InputError
from simdnn.images.shifts import Shift
from simdnn.rules.clean_profile import CleanProfile, Line
from simdnn.rules.inputs import RuleInput
from simdnn.rules.rule import LearnedImages, Rule, State
from simdnn.rules.sources import SOURCES, Measured, Scales

LEVELS = {"light": 1, "standard": 2, "full": 4}
"""Number of views at each level; each costs one more pass of the network per image."""

LARGEST = 1e12
"""Larger numbers in a guard file are refused; no logarithm, slope or deviation comes near it."""


class ProfileRule(Rule):
    """Score by the deviations of several sources of evidence from clean images.

    Attributes
    ----------
    clean : distribution of the sources on clean images
    """

    name: ClassVar[str] = "profile"
    version: ClassVar[int] = 2
    learns_corruptions: ClassVar[bool] = True
    clean: CleanProfile

    @classmethod
    def draw_views(cls, level: str, seed: int) -> tuple[Shift, ...]:
        """Draw the views of one guard.

        They come in pairs, shifted by one to three pixels in roughly opposite directions, so that the features of a
        clean image lie between those of its views. There are only some dozens of possible draws: they stop an attack
        that is tuned to another guard, but not one that tries them all.

        Parameters
        ----------
        level : one of `LEVELS`
        seed : seed of the draw

        Raises
        ------
        InputError
            If there is no such level.
        """
        if level not in LEVELS:
            raise InputError(f"no level {level!r}; the levels are {', '.join(LEVELS)}")
        generator = np.random.default_rng(seed)
        right, down = (int(sign) for sign in generator.choice([-1, 1], 2))
        views: list[Shift] = []
        for diagonal in ((right, down), (right, -down)):
            across, along = (int(pixels) for pixels in generator.integers(1, 4, 2))
            views.append(Shift(right=diagonal[0], down=diagonal[1]))
            views.append(Shift(right=-diagonal[0] * across, down=-diagonal[1] * along))
        return tuple(views[: LEVELS[level]])

    def learn(self, images: LearnedImages) -> None:
        """Learn the distribution of the sources on clean images.

        Raises
        ------
        InputError
            If there are too few images.
        """
        if not len(self.calibration) or not len(images.reference.predictions):
            raise InputError(
                f"the rule {self.name!r} needs images to calibrate on and images besides the prototypes; got "
                f"{len(self.calibration)} and {len(images.reference.predictions)}; give more images, or another rule"
            )
        self.clean = CleanProfile.learn(Measured.of(images.reference))

    def score(self, inputs: RuleInput) -> Array:
        """Return (N,) scores of at most 0, in standard deviations of clean images."""
        return self.clean.score(Measured.of(inputs))

    def explain(self, inputs: RuleInput) -> list[dict[str, float]]:
        """Return each source's deviation from clean images, in standard deviations; positive suggests an attack."""
        deviations = self.clean.deviations(Measured.of(inputs))
        return [
            {name: float(values[i]) for name, values in deviations.items()}
            for i in range(len(inputs.predictions))
        ]

    def state(self) -> State:
        """Return the clean profile."""
        return {
            "scales": asdict(self.clean.scales),
            "lines": {name: asdict(line) for name, line in self.clean.lines.items()},
        }, {}

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore the clean profile and the classes of outputs; ValueError if they do not fit together."""
        del arrays
        if not 1 <= len(self.views) <= max(LEVELS.values()):
            raise ValueError(f"expected 1 to {max(LEVELS.values())} views, got {len(self.views)}")
        scales = Scales(**{name: _checked_number(value) for name, value in header["scales"].items()})
        lines = {
            name: Line(**{part: _checked_number(value) for part, value in line.items()})
            for name, line in header["lines"].items()
        }
        expected = [source.name for source in SOURCES]
        if list(lines) != expected or any(line.deviation < 1 / LARGEST for line in lines.values()):
            raise ValueError(f"the profile lacks one of {', '.join(expected)}, or a deviation")
        self.clean = CleanProfile(scales, lines)
        return self


def _checked_number(value: object) -> float:
    """Return a number from a guard file; ValueError if it is none, or too large."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= LARGEST:
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)
