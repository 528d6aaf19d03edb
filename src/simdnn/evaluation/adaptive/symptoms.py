"""Symptoms of a broken evaluation: signs that attacks fail although the model is not robust.

Source: Carlini and others, "On evaluating adversarial robustness", 2019.
"""

from __future__ import annotations

from typing import Any

import torch

from simdnn.attacks.adaptive.attacks import Joint, Selective
from simdnn.attacks.adaptive.goal import Goal, nearest_wrong_outputs
from simdnn.attacks.adaptive.module import GuardedModel
from simdnn.attacks.adaptive.run import run_adaptive_attack
from simdnn.attacks.square import Square
from simdnn.evaluation.adaptive.black_box import library_attack
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.scoring import misclassified_scores
from simdnn.networks.device import device_of

GRADIENT_IMAGES = 20
"""Number of images whose gradients are checked."""
CONVERGED = 0.1
"""An attack whose share of successes changes by more with twice the steps has too few of them."""
VANISHED = 1e-12
"""A gradient with a smaller L2 norm has vanished."""


def symptoms(
    guarded: GuardedModel, clean: EvaluationImages, threshold: float, eps: float, steps: int = 40
) -> dict[str, Any]:
    """Run the five usual checks of an evaluation.

    Parameters
    ----------
    guarded : network and detector, on any device
    clean : the images to attack
    threshold : threshold of the detector
    eps : L-inf radius
    steps : number of steps of the selective attack

    Returns
    -------
    dict
        For each check the measured shares, and whether it is ``passed``: no gradients vanish; twice the steps change
        the share of successes by no more than `CONVERGED`; an unbounded attack succeeds on at least 99 %; random noise
        and a black-box attack succeed no more often than the white-box attack.
    """
    images, labels = clean.images, clean.labels
    goal = Goal(nearest_wrong_outputs(guarded, images, labels), threshold)

    def evaded(radius: float, n_steps: int) -> float:
        """Return the share of images on which the selective attack succeeds."""
        result = run_adaptive_attack(guarded, Selective(), images, goal, eps=radius, steps=n_steps)
        return float((result.score >= threshold).double().mean())

    vanished, of = _vanishing_gradients(guarded, clean, goal)
    few, many = evaded(eps, steps), evaded(eps, 2 * steps)
    unbounded = evaded(1.0, 2 * steps)
    signs = 2 * torch.randint(0, 2, images.shape, generator=torch.Generator().manual_seed(0)) - 1
    noisy = misclassified_scores(guarded, (images + eps * signs).clamp(0, 1), labels)
    by_noise = float((noisy >= threshold).double().mean())
    search = library_attack(guarded, clean, Square(eps, queries=steps), {"": threshold})
    by_search = 1 - search["robust_accuracy"][""]["value"]
    return {
        "vanishing gradients": {"n": vanished, "of": of, "passed": vanished == 0},
        "converged": {"few": few, "many": many, "passed": abs(many - few) <= CONVERGED},
        "unbounded attack succeeds": {"share": unbounded, "passed": unbounded >= 0.99},
        "random noise is weaker": {"share": by_noise, "passed": by_noise <= many},
        "black-box attack is weaker": {"share": by_search, "passed": by_search <= many},
    }


def _vanishing_gradients(guarded: GuardedModel, clean: EvaluationImages, goal: Goal) -> tuple[int, int]:
    """Return the number of vanishing gradients of the joint attack, and of the images checked, which do not evade."""
    device = device_of(guarded)
    first = torch.arange(min(GRADIENT_IMAGES, len(clean.images)))
    images = clean.images[first].to(device).requires_grad_(True)
    goal = goal.rows(first, device)
    output = guarded(images, goal.targets)
    left = (goal.label_loss(output) + goal.detector_loss(output) > 0).detach()
    gradient = Joint().gradient(output, images, goal)
    vanished = gradient.flatten(1).norm(dim=1)[left] < VANISHED
    return int(vanished.sum()), int(left.sum())
