"""Attacks on a classifier, mostly from secml-torch, foolbox and pyautoattack (``pip install simdnn[lab]``).

Images are in [0, 1], and budgets in the same units. Success is measured on the floating-point images and again after
rounding to 8 bits. Adaptive attacks, which also evade the detector, are in :mod:`simdnn.attacks.adaptive`.
"""

from simdnn.attacks import libraries
from simdnn.attacks.attack import Attack, AttackResult, predict, round_to_levels, run_attack
from simdnn.attacks.ddn import DDN
from simdnn.attacks.fgsm import FGSM
from simdnn.attacks.noise import Noise
from simdnn.attacks.pgd import PGD
from simdnn.attacks.registry import ATTACKS, make_attack

__all__ = [
    "ATTACKS",
    "DDN",
    "FGSM",
    "PGD",
    "Attack",
    "AttackResult",
    "Noise",
    "libraries",
    "make_attack",
    "predict",
    "round_to_levels",
    "run_attack",
]
