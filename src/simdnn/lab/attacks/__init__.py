"""Attacks by name, over secml-torch, foolbox and pyautoattack (``pip install simdnn[lab]``).

Budgets are in pixel units of [0, 1] images. Success is measured on floats and again on 8 bits.
"""

from simdnn.lab.attacks import libraries
from simdnn.lab.attacks.attack import AttackResult, Recipe, attack, predict, round_to_levels
from simdnn.lab.attacks.ddn import DDN
from simdnn.lab.attacks.fgsm import FGSM
from simdnn.lab.attacks.noise import Noise
from simdnn.lab.attacks.pgd import PGD
from simdnn.lab.attacks.registry import RECIPES, recipe, title

__all__ = [
    "DDN",
    "FGSM",
    "PGD",
    "RECIPES",
    "AttackResult",
    "Noise",
    "Recipe",
    "attack",
    "libraries",
    "predict",
    "recipe",
    "round_to_levels",
    "title",
]
