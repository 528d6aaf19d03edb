"""Attacks against a linear network, whose best attack is known in closed form."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
import torch
from tests.attacks.networks import SHAPE, margins, weight_of_margin
from torch import Tensor, nn

from simdnn.attacks import (
    DDN,
    FGSM,
    PGD,
    Attack,
    make_attack,
    predict,
    run_attack,
)
from simdnn.attacks.apgd import APGD
from simdnn.attacks.autoattack import AutoAttack
from simdnn.attacks.cw import CW
from simdnn.attacks.deepfool import DeepFool
from simdnn.attacks.fab import FAB
from simdnn.attacks.fmn import FMN
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.attacks.mifgsm import MIFGSM
from simdnn.attacks.pgd_l2 import PGDL2
from simdnn.attacks.square import Square
from simdnn.errors import InputError


def test_fgsm_is_one_step_along_the_sign_cut_to_the_range(linear: nn.Module, labels: Tensor) -> None:
    images = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(2))  # some pixels leave [0, 1]
    result = run_attack(FGSM(eps=0.3), linear, images, labels)
    # The loss rises against the true class: the gradient's sign is the opposite of the margin's weight's.
    away = torch.where(labels == 0, -1.0, 1.0)[:, None] * weight_of_margin(linear).sign()
    expected = (images + 0.3 * away.view(20, *SHAPE)).clamp(0, 1)
    assert torch.equal(result.images, expected)


def test_fgsm_moves_the_margin_by_eps_times_the_l1_norm(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    result = run_attack(FGSM(eps=0.05), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    optimum = 0.05 * weight_of_margin(linear).abs().sum()
    torch.testing.assert_close(moved, optimum.expand(20), rtol=1e-4, atol=1e-5)


def test_pgd_reaches_the_same_optimum(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    # From a random start, a pixel is at most 2 eps away from where it has to go: 5 steps of 0.02.
    result = run_attack(PGD(eps=0.05, steps=5, step_size=0.02), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    optimum = 0.05 * weight_of_margin(linear).abs().sum()
    torch.testing.assert_close(moved, optimum.expand(20), rtol=1e-4, atol=1e-5)


def test_pgd_counts_its_last_step(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    start, one = (
        run_attack(PGD(eps=0.05, steps=steps, step_size=0.02), linear, images, labels, seed=3).images
        for steps in (0, 1)
    )
    moved = margins(linear, start, labels) - margins(linear, one, labels)
    assert (moved > 0.3 * 0.02 * weight_of_margin(linear).abs().sum()).all()


def test_pgd_starts_uniformly_around_the_image(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    start = run_attack(PGD(eps=0.1, steps=0, step_size=0.1), linear, images, labels).images - images
    assert start.mean().abs() < 4 * 0.1 / 3**0.5 / start.numel() ** 0.5
    assert start.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_ddn_approaches_the_distance_to_the_boundary(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    # With 16 bits the levels are no limit, and the best attack is the way straight to the boundary.
    result = run_attack(DDN(steps=200, levels=2**16), linear, images, labels)
    distance = margins(linear, images, labels) / weight_of_margin(linear).norm()
    within_reach = distance > 0.05  # the norm shrinks by 5 % a step at most, and the last steps are 0.01 long
    assert within_reach.sum() >= 15
    assert result.success[within_reach].all()
    ratio = (result.l2 / distance)[within_reach]
    assert (ratio >= 0.999).all()
    assert (ratio <= 1.05).all()


@pytest.mark.parametrize(
    ("attack", "most"),
    [
        (CW(steps=200, searches=6, confidence=0), 1.05),
        (DeepFool(overshoot=0.02), 1.021),
        (FMN(steps=100, levels=2**16), 1.01),
        (HopSkipJump(steps=10, queries=100, most_queries=500), 1.15),
    ],
)
def test_the_smallest_euclidean_change_is_the_way_to_the_boundary(
    linear: nn.Module, images: Tensor, labels: Tensor, attack: Attack, most: float
) -> None:
    result = run_attack(attack, linear, images, labels)
    distance = margins(linear, images, labels) / weight_of_margin(linear).norm()
    assert result.success.all()
    ratio = result.l2 / distance
    assert (ratio >= 0.999).all()
    assert ratio.median() <= most


def test_fab_finds_the_smallest_change_of_any_pixel(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    distance = margins(linear, images, labels) / weight_of_margin(linear).abs().sum()
    result = run_attack(FAB(eps=float(distance.median()), steps=30), linear, images, labels)
    within = distance < 0.9 * distance.median()
    assert result.success[within].all()
    assert not result.success[distance > 1.01 * distance.median()].any()
    assert (result.linf / distance)[within].max() <= 1.1
    assert torch.equal(result.images[~result.success], images[~result.success])


def test_pgd_l2_moves_the_margin_by_eps_times_the_l2_norm(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    # Each step rotates the change towards the best direction; a tangent of it is left.
    result = run_attack(PGDL2(eps=0.4, steps=60), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    share = moved / (0.4 * weight_of_margin(linear).norm())
    assert (share <= 1 + 1e-4).all()
    assert (share >= 0.99).all()


def test_mifgsm_reaches_the_optimum_of_the_sign(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    result = run_attack(MIFGSM(eps=0.05), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    torch.testing.assert_close(
        moved, (0.05 * weight_of_margin(linear).abs().sum()).expand(20), rtol=1e-4, atol=1e-5
    )


def naive_mifgsm(
    network: nn.Module, image: Tensor, label: Tensor, eps: float, steps: int, momentum: float
) -> Tensor:
    """Equations 6 and 7 of the paper, for one image."""
    x, g = image[None], torch.zeros_like(image)[None]
    for _ in range(steps):
        x = x.detach().requires_grad_()
        loss = -network(x).log_softmax(dim=1)[0, label]
        gradient = torch.autograd.grad(loss, x)[0]
        g = momentum * g + gradient / gradient.abs().sum()
        x = x.detach() + eps / steps * g.sign()
        x = torch.minimum(torch.maximum(x, torch.zeros(())), torch.ones(()))
    return x[0]


@pytest.mark.parametrize("momentum", [0.0, 0.5, 1.0])
def test_mifgsm_is_the_papers_on_a_network_that_is_not_linear(momentum: float) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.Tanh(), nn.Linear(32, 5)).eval()
    network.requires_grad_(False).get_parameter("3.weight").mul_(8)  # steep: the gradient changes on the way
    images = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(3))
    labels = predict(network, images)
    found = run_attack(MIFGSM(eps=0.2, steps=8, momentum=momentum), network, images, labels).images
    pairs = zip(images, labels, strict=True)
    expected = torch.stack([naive_mifgsm(network, x, y, 0.2, 8, momentum) for x, y in pairs])
    # A sum so near 0 that rounding decides on its sign is rare.
    assert ((found - expected).abs() > 1e-5).float().mean() < 2e-3
    other = run_attack(MIFGSM(eps=0.2, steps=8, momentum=1.5), network, images, labels).images
    assert ((other - expected).abs() > 1e-5).float().mean() > 0.02


@pytest.fixture(scope="module")
def three() -> nn.Module:
    """Three classes, the third of which never wins, so that the boundary is that between the other two."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    with torch.no_grad():
        network.get_parameter("1.weight")[2] = 0
        network.get_parameter("1.bias")[2] = -100
    return network


@pytest.mark.parametrize(
    ("attack", "share"),
    [
        (APGD(eps=1.0, steps=30), 1.0),
        (APGD(eps=1.0, steps=30, loss="dlr"), 1.0),
        (AutoAttack(eps=1.0, steps=20, queries=50), 1.0),
        (Square(eps=1.0, queries=2000), 0.2),
    ],
)
def test_within_a_budget_what_can_be_misclassified_is(
    three: nn.Module, images: Tensor, attack: Attack, share: float
) -> None:
    labels = predict(three, images)
    distance = margins(three, images, labels) / weight_of_margin(three).abs().sum()
    eps = float(distance.median())
    result = run_attack(
        make_attack(asdict(attack) | {"attack": attack.name, "eps": eps}), three, images, labels
    )
    assert result.success[distance < 0.95 * eps].float().mean() >= share
    assert not result.success[distance > 1.001 * eps].any()
    assert result.linf.max() <= eps + 1e-6


def test_the_dlr_loss_needs_three_classes(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    with pytest.raises(
        InputError, match="the DLR loss needs three classes, the network has 2; take loss 'ce'"
    ):
        run_attack(APGD(eps=0.1, loss="dlr"), linear, images, labels)


def test_autoattack_needs_three_classes_from_the_start(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    message = "autoattack needs three classes for its DLR loss, the network has 2; take apgd, fab or square"
    with pytest.raises(InputError, match=re.escape(message)):
        run_attack(AutoAttack(eps=1.0), linear, images, labels)  # APGD alone would get all misclassified


def test_hopskipjump_gets_as_near_in_a_batch_as_alone(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    attack = HopSkipJump(steps=6, queries=50)
    alone, together = (run_attack(attack, linear, images, labels, batch_size=n).l2.median() for n in (1, 20))
    torch.testing.assert_close(together, alone, rtol=0.05, atol=0)
