"""Adaptive attacks: white-box on a network and its detector at once.

Network and detector are one differentiable module, :class:`GuardedNetwork`, which the attacks here take, and through
:class:`Rejecting` those of any library.
"""

from simdnn.attacks.adaptive.attacks import ADAPTIVE_ATTACKS, AdaptiveAttack
from simdnn.attacks.adaptive.goal import Goal
from simdnn.attacks.adaptive.module import (
    BaselineNetwork,
    GuardedModel,
    GuardedNetwork,
    GuardedOutput,
    Rejecting,
)
from simdnn.attacks.adaptive.run import AdaptiveResult, run_adaptive_attack

__all__ = [
    "ADAPTIVE_ATTACKS",
    "AdaptiveAttack",
    "AdaptiveResult",
    "BaselineNetwork",
    "Goal",
    "GuardedModel",
    "GuardedNetwork",
    "GuardedOutput",
    "Rejecting",
    "run_adaptive_attack",
]
