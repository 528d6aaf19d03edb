"""The differentiable module scores as the guard does, and its gradient is the true one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from simdnn.attacks import FGSM, run_attack
from simdnn.attacks.adaptive import GuardedNetwork, Rejecting
from simdnn.errors import InputError
from simdnn.guard.guard import Guard

RULES = ("profile", "similarity", "published")


def varied(images: Tensor, guard: Guard) -> Tensor:
    """Clean digits, attacked ones, and noise: all that a score may meet."""
    attacked = run_attack(FGSM(eps=0.1), guard.classifier, images, guard.classifier(images).argmax(1)).images
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([images, attacked, noise])


@pytest.mark.parametrize("rule", RULES)
def test_scores_are_the_guards(guard: Guard, digits: tuple[Tensor, Tensor], rule: str) -> None:
    images = varied(digits[0], guard)
    module = GuardedNetwork(guard, rule)
    with torch.no_grad():
        output = module(images)
    verdicts = guard.check_tensors(images, rule=rule)
    expected = np.array([verdict.score for verdict in verdicts], dtype=np.float64)
    np.testing.assert_allclose(output.score, expected, rtol=1e-5, atol=1e-5)
    assert module.threshold == guard.threshold(rule)
    predicted = [str(k) for k in output.logits.argmax(dim=1).tolist()]
    assert predicted == [verdict.classifier_label for verdict in verdicts]


@pytest.mark.parametrize("rule", [*RULES, "profile+opinion", "second-opinion"])
def test_gradient_is_that_of_finite_differences(
    guard: Guard, guard_with_auxiliary: Guard, digits: tuple[Tensor, Tensor], rule: str
) -> None:
    module = GuardedNetwork(guard if rule in RULES else guard_with_auxiliary, rule, draws=2)
    module = module.double()
    images = (0.8 * digits[0][:6] + 0.1).double().requires_grad_(True)

    def score(values: Tensor) -> Tensor:
        module.noise.manual_seed(0)  # the same draws each time
        found: Tensor = module(values).score
        return found

    (gradient,) = torch.autograd.grad(score(images).sum(), images)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    step = 1e-6
    for seed in range(3):
        direction = torch.randn(
            images.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        with torch.no_grad():
            after, before = score(images + step * direction), score(images - step * direction)
        expected = (gradient * direction).sum(dim=(1, 2, 3))
        np.testing.assert_allclose((after - before) / (2 * step), expected, rtol=1e-3, atol=1e-4)


def test_the_mean_posterior_over_many_draws_nears_the_share_of_votes(
    guard_with_auxiliary: Guard, digits: tuple[Tensor, Tensor]
) -> None:
    """For an opinion that is sure, both are the same; the surrogate must not lead an attack elsewhere."""
    images = digits[0][:20]
    module = GuardedNetwork(guard_with_auxiliary, "second-opinion", draws=100)
    with torch.no_grad():
        surrogate = module(images).score.numpy()
    shares = [verdict.score for verdict in guard_with_auxiliary.check_tensors(images, rule="second-opinion")]
    assert np.corrcoef(surrogate, np.array(shares, dtype=float))[0, 1] > 0.9


@pytest.mark.parametrize("rule", ["profile+opinion", "second-opinion", "profile"])
def test_what_is_in_use_scores_as_the_guards_verdicts_do(
    guard_with_auxiliary: Guard, digits: tuple[Tensor, Tensor], rule: str
) -> None:
    images = varied(digits[0][:15], guard_with_auxiliary)
    found = GuardedNetwork(guard_with_auxiliary, rule, draws=1).deployed(images).score
    verdicts = guard_with_auxiliary.check_tensors(images, rule=rule)
    expected = np.array([verdict.score for verdict in verdicts], dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_assumed_output_changes_the_score_only_where_the_network_predicts_another(
    guard_with_auxiliary: Guard, digits: tuple[Tensor, Tensor]
) -> None:
    module = GuardedNetwork(guard_with_auxiliary)
    with torch.no_grad():
        plain = module(digits[0])
        own = plain.logits.argmax(dim=1)
        same, other = module(digits[0], own), module(digits[0], (own + 1) % 10)
    torch.testing.assert_close(same.logits, plain.logits)
    assert (other.score < same.score).float().mean() > 0.9


def test_target_logits_are_the_second_opinion(
    guard_with_auxiliary: Guard, digits: tuple[Tensor, Tensor]
) -> None:
    """They say of most clean images what they show, whatever the protected network predicts."""
    images, labels = digits
    module = GuardedNetwork(guard_with_auxiliary)
    with torch.no_grad():
        logits = module.target_logits(images)
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.8


def test_flagged_images_get_the_class_of_rejection(guard: Guard, digits: tuple[Tensor, Tensor]) -> None:
    images = varied(digits[0], guard)
    module = GuardedNetwork(guard)
    with torch.no_grad():
        predicted = Rejecting(module)(images).argmax(dim=1)
    flagged = [verdict.verdict == "attack" for verdict in guard.check_tensors(images)]
    assert ((predicted == 10).tolist()) == flagged
    assert 0 < sum(flagged) < len(flagged)


def test_unknown_rule_and_missing_profile(guard: Guard) -> None:
    with pytest.raises(
        InputError, match=r"no rule 'best'; the rules are profile, profile\+opinion, .*published"
    ):
        GuardedNetwork(guard, "best")
