"""Attacks by somebody who knows of the detector, and what they find.

A network and its detector are one differentiable module (:class:`GuardedNetwork`), which the attacks here, or those of
any library, take as they would a network.
"""

from simdnn.attacks.adaptive.attacks import ATTACKS, AwareAttack, Found, Goal, attack_aware
from simdnn.attacks.adaptive.module import Answered, GuardedNetwork, PeerNetwork, Rejecting

__all__ = [
    "ATTACKS",
    "Answered",
    "AwareAttack",
    "Found",
    "Goal",
    "GuardedNetwork",
    "PeerNetwork",
    "Rejecting",
    "attack_aware",
]
