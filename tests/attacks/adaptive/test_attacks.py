"""Adaptive attacks, against problems whose solution is known, and on digits."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.adaptive.plane import GOAL, Plane, at
from torch import Tensor

from simdnn.attacks.adaptive import (
    ADAPTIVE_ATTACKS,
    Goal,
    GuardedNetwork,
    GuardedOutput,
    run_adaptive_attack,
)
from simdnn.attacks.adaptive.attacks import Balanced, LabelOnly, Orthogonal, Selective
from simdnn.attacks.adaptive.goal import nearest_wrong_outputs
from simdnn.attacks.adaptive.minimum_norm import minimum_norm_attack
from simdnn.errors import InputError
from simdnn.guard.guard import Guard


@pytest.mark.parametrize("name", ADAPTIVE_ATTACKS)
@pytest.mark.parametrize("norm", ["inf", "2"])
def test_it_succeeds_exactly_where_a_success_exists(name: str, norm: str) -> None:
    """From (0.3, 0.2) both aims lie 0.3 away: in reach at 0.5, not at 0.25."""
    # the three channels move alike, but only the first counts: the others are free
    far, near = (
        run_adaptive_attack(
            Plane(), ADAPTIVE_ATTACKS[name], at(0.3, 0.2), GOAL, eps=eps, norm=norm, steps=100
        )
        for eps in ((0.6, 0.25) if norm == "inf" else (1.5, 0.25))
    )
    assert far.score[0] >= 0
    moved = far.images[0, 0, 0]
    assert moved[0] > 0.6
    assert moved[1] >= 0.5
    assert near.score[0] < 0


def test_an_attack_on_the_network_alone_does_not_evade_the_detector() -> None:
    found = run_adaptive_attack(Plane(), LabelOnly(), at(0.3, 0.2), GOAL, eps=0.35, steps=60)
    assert found.images[0, 0, 0, 0] > 0.6
    assert -torch.inf < found.score[0] < 0


def test_selective_descends_the_selected_loss() -> None:
    plane = Plane()
    for image, (moves_x, moves_y) in ((at(0.3, 0.2), (True, False)), (at(0.9, 0.2), (False, True))):
        image.requires_grad_(True)
        gradient = Selective().gradient(plane(image), image, GOAL)[0, 0, 0]
        assert (gradient != 0).tolist() == [moves_x, moves_y]


def test_orthogonal_gradients_are_orthogonal_to_the_other_loss() -> None:
    class Slanted(Plane):
        def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
            plain = super().__call__(images)
            return plain._replace(parts=plain.parts - 0.7 * images[:, 0, 0, :1].double())

    image = at(0.3, 0.2).requires_grad_(True)
    gradient = Orthogonal().gradient(Slanted()(image), image, GOAL)
    (other,) = torch.autograd.grad(GOAL.detector_loss(Slanted()(image)).sum(), image)
    assert gradient.norm() > 0
    assert abs(float((gradient * other).sum())) < 1e-6


def test_balanced_gradients_weigh_the_label_and_each_part_alike() -> None:
    class TwoParts(Plane):
        """A second part, a thousand times steeper, flags where the third value is below 0.5."""

        def __call__(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
            plain = super().__call__(images)
            third = 1000 * (images[:, 1, 0, :1].double() - 0.5)
            return plain._replace(parts=torch.cat([plain.parts, third], dim=1))

    image = at(0.3, 0.2).requires_grad_(True)
    gradient = Balanced().gradient(TwoParts()(image), image, GOAL)
    assert gradient[0, :2, 0].tolist() == [[-1, -1], [-1, 0]]
    passed = (
        torch.tensor([0.3, 0.9]).expand(1, 3, 1, 2).clone().requires_grad_(True)
    )  # the first part is content
    gradient = Balanced().gradient(TwoParts()(passed), passed, GOAL)
    assert gradient[0, :2, 0].tolist() == [[-1, 0], [-1, 0]]


def test_a_success_is_one_against_what_is_in_use() -> None:
    """An estimate that is too favourable does not stop an attack, nor count."""

    class Stricter(Plane):
        """Flags where y < 0.7, which the output for attacks does not show."""

        def deployed(self, images: Tensor) -> GuardedOutput:
            plain = self(images)
            return plain._replace(parts=plain.parts - 0.2)

    model = Stricter()
    for eps, reached in ((0.6, True), (0.45, False)):
        found = run_adaptive_attack(model, Balanced(), at(0.3, 0.2), GOAL, eps=eps, steps=60)
        assert bool(model.deployed(found.images).score >= 0) == bool(found.score >= 0) == reached
    norm = minimum_norm_attack(model, Balanced(), at(0.3, 0.2), GOAL, steps=300).norm
    assert float(norm) == pytest.approx((0.3**2 + 0.5**2) ** 0.5, rel=0.05)


@pytest.mark.parametrize(("norm", "eps"), [("inf", 0.03), ("2", 0.7)])
def test_images_stay_in_the_ball_and_in_range(
    guard_with_auxiliary: Guard, digits: tuple[Tensor, Tensor], norm: str, eps: float
) -> None:
    images, labels = digits[0][:10], digits[1][:10]
    module = GuardedNetwork(guard_with_auxiliary)
    goal = Goal(nearest_wrong_outputs(module, images, labels), module.threshold)
    found = run_adaptive_attack(module, Selective(), images, goal, eps=eps, norm=norm, steps=5)
    change = found.images - images
    reached = change.abs().amax() if norm == "inf" else change.flatten(1).norm(dim=1).amax()
    assert reached <= eps + 1e-5
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_an_adaptive_attack_evades_the_profile_and_one_on_the_network_alone_does_not(
    guard: Guard, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    module = GuardedNetwork(guard)
    goal = Goal(nearest_wrong_outputs(module, images, labels), module.threshold)
    evaded = {}
    for name, attack in (("adaptive", Selective()), ("label only", LabelOnly())):
        found = run_adaptive_attack(module, attack, images, goal, eps=0.3, steps=60)
        verdicts = guard.check_tensors(found.images)
        wrong = [v.classifier_label != str(int(label)) for v, label in zip(verdicts, labels, strict=True)]
        unflagged = [v.verdict == "clean" for v in verdicts]
        evaded[name] = sum(w and u for w, u in zip(wrong, unflagged, strict=True)) / len(labels)
        agreed = (found.score >= module.threshold).tolist()
        assert sum(a != (w and u) for a, w, u in zip(agreed, wrong, unflagged, strict=True)) <= 1
    assert evaded["adaptive"] > 0.9
    assert evaded["label only"] < 0.3


def test_curve_falls_and_the_share_that_evades_grows(guard: Guard, digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits[0][:20], digits[1][:20]
    module = GuardedNetwork(guard)
    goal = Goal(nearest_wrong_outputs(module, images, labels), module.threshold)
    found = run_adaptive_attack(module, Selective(), images, goal, eps=0.3, steps=40)
    losses, evaded = zip(*found.curve, strict=True)
    assert losses[-1] < losses[0] / 3
    assert list(evaded) == sorted(evaded)
    assert evaded[-1] == float((found.score >= module.threshold).float().mean())


def test_matching_needs_guides_and_norms_have_names(guard: Guard, digits: tuple[Tensor, Tensor]) -> None:
    module = GuardedNetwork(guard)
    goal = Goal(digits[1][:2], module.threshold)
    with pytest.raises(
        InputError, match="feature matching needs clean images of the target classes as guides"
    ):
        run_adaptive_attack(module, ADAPTIVE_ATTACKS["feature-matching"], digits[0][:2], goal, eps=0.1)
    with pytest.raises(InputError, match="expected the norm 'inf' or '2', got '1'"):
        run_adaptive_attack(module, Selective(), digits[0][:2], goal, eps=0.1, norm="1")
