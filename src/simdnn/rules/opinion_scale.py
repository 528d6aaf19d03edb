"""What a share of votes is worth on the profile's scale, so that the smaller of the two scores is one score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from simdnn.arrays import Array, FloatArray, double, namespace

PART = 0.9
"""Part of the false alarms that the second opinion takes; the profile takes the rest."""

LARGEST = 1e12


@dataclass(frozen=True)
class OpinionScale:
    """A piecewise linear function that rises from shares to scores.

    Attributes
    ----------
    shares : rising, from 0 to 1
    values : scores, rising
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def learn(cls, shares: FloatArray, profile: FloatArray, part: float = PART) -> Self:
        """Match quantiles of N clean images.

        Where a rate f of them has a share up to s, s is worth the profile's quantile at ``f (1 - part) / part``. A
        threshold on the smaller of both then flags about ``part`` of its false alarms for the opinion. The threshold's
        promise does not rest on that, as it is calibrated on other images, by the smaller score itself.

        Parameters
        ----------
        shares : (N,) that agree, of images that the auxiliary network has not learned
        profile : (M,) scores of the profile, at most 0, of these images or of others
        part : of the false alarms, that the second opinion takes
        """
        knots = np.unique(np.concatenate([[0.0], shares[shares < 1]]))
        rates = (shares[:, None] <= knots).mean(axis=0) * (1 - part) / part
        values = np.quantile(profile, np.minimum(rates, 1.0))
        return cls((*knots.tolist(), 1.0), (*values.tolist(), max(0.0, float(values[-1]))))

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> Self:
        """Take back what :meth:`as_dict` returned; ValueError if it is no such function."""
        found = cls(tuple(plain["shares"]), tuple(plain["values"]))
        for numbers in (found.shares, found.values):
            if not all(type(number) is float and abs(number) <= LARGEST for number in numbers):
                raise ValueError("the scale of the second opinion holds something else than numbers")
        steps = np.diff(found.shares)
        if found.shares[:1] + found.shares[-1:] != (0.0, 1.0) or len(found.shares) != len(found.values):
            raise ValueError("the scale of the second opinion does not run from 0 to 1")
        if (steps < 1e-9).any() or (np.diff(found.values) < 0).any():
            raise ValueError("the scale of the second opinion does not rise")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"shares": list(self.shares), "values": list(self.values)}

    def value(self, shares: Array) -> Array:
        """Return what (N,) shares are worth.

        >>> OpinionScale((0.0, 0.5, 1.0), (-3.0, -2.0, 0.0)).value(np.array([0.0, 0.25, 0.75, 1.0])).tolist()
        [-3.0, -2.5, -1.0, 0.0]
        """
        given = double(shares)
        xp = namespace(given)
        total = self.values[0] + 0 * given
        for i in range(len(self.shares) - 1):
            width = self.shares[i + 1] - self.shares[i]
            rise = self.values[i + 1] - self.values[i]
            total = total + xp.clip((given - self.shares[i]) / width, 0.0, 1.0) * rise
        return total
