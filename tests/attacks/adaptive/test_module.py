"""The differentiable module says what the guard says, and its slope is the true one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from simdnn.attacks import FGSM, attack
from simdnn.attacks.adaptive import GuardedNetwork, Rejecting
from simdnn.errors import InputError
from simdnn.guard.guard import Guard

RULES = ("profile", "similarity", "published")


def seen(images: Tensor, guard: Guard) -> Tensor:
    """Clean digits, attacked ones, and noise: all that a score may meet."""
    attacked = attack(FGSM(eps=0.1), guard.classifier, images, guard.classifier(images).argmax(1)).images
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([images, attacked, noise])


@pytest.mark.parametrize("rule", [*RULES, "hardened"])
def test_it_says_what_the_guard_says(
    guard: Guard, hardened: Guard, digits: tuple[Tensor, Tensor], rule: str
) -> None:
    judge = hardened if rule == "hardened" else guard
    rule = "profile" if rule == "hardened" else rule
    images = seen(digits[0], guard)
    module = GuardedNetwork(judge, rule)
    with torch.no_grad():
        answered = module(images)
    verdicts = judge.check_tensors(images, rule=rule)
    expected = np.array([verdict.score for verdict in verdicts], dtype=np.float64)
    np.testing.assert_allclose(answered.score, expected, rtol=1e-5, atol=1e-5)
    assert module.threshold == judge.threshold(rule)
    answers = [str(k) for k in answered.logits.argmax(dim=1).tolist()]
    assert answers == [verdict.classifier_label for verdict in verdicts]


@pytest.mark.parametrize("rule", [*RULES, "hardened"])
def test_slope_is_that_of_finite_differences(
    guard: Guard, hardened: Guard, digits: tuple[Tensor, Tensor], rule: str
) -> None:
    module = GuardedNetwork(
        hardened if rule == "hardened" else guard, "profile" if rule == "hardened" else rule
    )
    module = module.double()
    images = (0.8 * digits[0][:6] + 0.1).double().requires_grad_(True)
    (slope,) = torch.autograd.grad(module(images).score.sum(), images)
    assert (slope.flatten(1).norm(dim=1) > 0).all()
    step = 1e-6
    for seed in range(3):
        way = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        with torch.no_grad():
            after, before = module(images + step * way).score, module(images - step * way).score
        expected = (slope * way).sum(dim=(1, 2, 3))
        np.testing.assert_allclose((after - before) / (2 * step), expected, rtol=1e-3, atol=1e-4)


def test_a_pretended_answer_changes_the_score_only_where_it_is_not_the_networks(
    hardened: Guard, digits: tuple[Tensor, Tensor]
) -> None:
    module = GuardedNetwork(hardened)
    with torch.no_grad():
        plain = module(digits[0])
        own = plain.logits.argmax(dim=1)
        same, other = module(digits[0], own), module(digits[0], (own + 1) % 10)
    torch.testing.assert_close(same.score, plain.score)
    assert (other.score < plain.score).all()


def test_a_witness_alone_finds_a_pretended_answer(hardened: Guard, digits: tuple[Tensor, Tensor]) -> None:
    """What the witness is for: the network may be turned, the witness still sees what there is."""
    images, labels = digits
    module = GuardedNetwork(hardened)
    with torch.no_grad():
        near = module.nearness(images)
    assert (near.argmax(dim=1) == labels).float().mean() > 0.9


def test_flagged_images_get_the_class_of_rejection(guard: Guard, digits: tuple[Tensor, Tensor]) -> None:
    images = seen(digits[0], guard)
    module = GuardedNetwork(guard)
    with torch.no_grad():
        answers = Rejecting(module)(images).argmax(dim=1)
    flagged = [verdict.verdict == "attack" for verdict in guard.check_tensors(images)]
    assert ((answers == 10).tolist()) == flagged
    assert 0 < sum(flagged) < len(flagged)


def test_unknown_rule_and_missing_profile(guard: Guard) -> None:
    with pytest.raises(InputError, match="no rule 'best'; the rules are profile, similarity, published"):
        GuardedNetwork(guard, "best")
