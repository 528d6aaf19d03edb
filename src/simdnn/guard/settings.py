"""How a guard decides."""

from __future__ import annotations

from dataclasses import dataclass

from simdnn.paper.parameters import check_parameters
from simdnn.paper.prototypes import SigmaKind
from simdnn.rules.registry import find_rule


@dataclass(frozen=True)
class Settings:
    """How a guard decides unless it is asked otherwise.

    Attributes
    ----------
    rule : name of its rule, see :mod:`simdnn.rules.registry`
    alpha : false-alarm rate that the threshold promises
    m : deviations under the mean at which the published rule flags
    sigma : whose variance eq. (10) divides by: ``"shared"``, ``"class"`` or ``"prototype"``
    seed : of the draws

    Raises
    ------
    InputError
        If one of them cannot be used.
    """

    rule: str = "profile"
    alpha: float = 0.05
    m: float = 3.0
    sigma: SigmaKind = "shared"
    seed: int = 0

    def __post_init__(self) -> None:
        find_rule(self.rule)
        check_parameters(alpha=self.alpha, m=self.m, sigma=self.sigma, random_state=self.seed)
        for name, kind in (("alpha", float), ("m", float), ("seed", int)):  # NumPy's own numbers are not JSON
            object.__setattr__(self, name, kind(getattr(self, name)))
