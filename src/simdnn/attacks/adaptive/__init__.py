"""Adaptive attacks: white-box attacks on a network together with its detector.

Network and detector form one differentiable module, :class:`GuardedNetwork`, which the attacks here take.
:class:`Rejecting` makes it a plain classifier, for the attacks of any library.
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
