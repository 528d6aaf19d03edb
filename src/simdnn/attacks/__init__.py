"""Attacks by name, over secml-torch, foolbox and pyautoattack (``pip install simdnn[lab]``).

Budgets are in pixel units of [0, 1] images. Success is measured on floats and again on 8 bits.
"""

from simdnn.attacks import libraries
from simdnn.attacks.attack import AttackResult, Recipe, attack, predict, round_to_levels
from simdnn.attacks.ddn import DDN
from simdnn.attacks.fgsm import FGSM
from simdnn.attacks.noise import Noise
from simdnn.attacks.pgd import PGD
from simdnn.attacks.registry import RECIPES, recipe, title

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
