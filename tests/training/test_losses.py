from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.small import Small, small_network
from torch import Tensor, nn

from simdnn.training.losses import (
    DISTILLATION,
    LOSSES,
    attack_smoothed,
    consistency,
    consistency_loss,
    distillation_loss,
    noise_loss,
)


class Linear(nn.Module):
    """Logits (N, 2): minus and plus the mean of an image."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(dim=1, keepdim=True)
        return torch.cat([-mean, mean], dim=1) * 10


def images_and_labels(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 0.3 + 0.4 * torch.rand(n, 3, 8, 8, generator=generator), torch.arange(n) % 2


def naive_consistency(logits: list[list[list[float]]], weight: float, entropy: float) -> float:
    draws, n, classes = len(logits), len(logits[0]), len(logits[0][0])
    total = 0.0
    for i in range(n):
        shares = []
        for draw in logits:
            powers = [math.exp(value) for value in draw[i]]
            shares.append([power / sum(powers) for power in powers])
        mean = [sum(share[k] for share in shares) / draws for k in range(classes)]
        for share in shares:
            total += weight * sum(mean[k] * math.log(mean[k] / share[k]) for k in range(classes)) / draws
        total -= entropy * sum(value * math.log(value) for value in mean)
    return total / n


def test_consistency_is_the_formula_of_jeong_and_shin() -> None:
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    expected = naive_consistency(logits.tolist(), 5.0, 0.5)
    assert consistency(logits, 5.0, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_draws_that_agree_cost_only_their_entropy() -> None:
    logits = torch.zeros(2, 3, 4)
    assert consistency(logits, 5.0, 1.0).item() == pytest.approx(math.log(4))
    assert consistency(logits, 5.0, 0.0).item() == pytest.approx(0, abs=1e-6)


def test_the_noise_loss_is_cross_entropy_on_a_noisy_draw() -> None:
    images, labels = images_and_labels()
    torch.manual_seed(2)
    found = noise_loss(Linear(), images, labels, 0.5)
    torch.manual_seed(2)
    logits = Linear()(images + 0.5 * torch.randn(images.shape))
    expected = -sum(
        torch.log_softmax(row, 0)[label].item() for row, label in zip(logits, labels, strict=True)
    )
    assert found.item() == pytest.approx(expected / len(labels), rel=1e-5)


def test_the_consistency_loss_pairs_each_draw_with_its_image() -> None:
    """Without noise all draws are the same: cross-entropy and entropy remain."""
    images, labels = images_and_labels()
    logits = Linear()(images)
    plain = nn.functional.cross_entropy(logits, labels)
    found = consistency_loss(Linear(), images, labels, 0.0, draws=3, weight=7.0, entropy=0.5)
    expected = plain.item() + naive_consistency([logits.tolist()], 0.0, 0.5)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_attack_stays_in_its_ball_and_takes_the_steepest_way() -> None:
    images, labels = images_and_labels()
    noise = 0.25 * torch.randn(4, *images.shape, generator=torch.Generator().manual_seed(3))
    attacked = attack_smoothed(Linear(), images, labels, noise, eps=0.5, steps=2)
    change = attacked - images
    assert torch.allclose(change.flatten(1).norm(dim=1), torch.full((len(images),), 0.5), atol=1e-4)
    # The logits are linear in the mean, so the best change is the same in every value: up for class 0, down for 1.
    size = 0.5 / math.sqrt(images[0].numel())
    expected = torch.where(labels == 0, size, -size).view(-1, 1, 1, 1).expand_as(images)
    assert torch.allclose(change, expected, atol=1e-5)


def test_the_attack_gives_images() -> None:
    images = torch.ones(2, 3, 8, 8)
    attacked = attack_smoothed(Linear(), images, torch.zeros(2, dtype=torch.long), images[None] * 0, 2.0, 3)
    assert attacked.max() <= 1
    assert attacked.min() >= 0


def teaching(network: Small) -> dict[str, Any]:
    """Return a copy of a network as teacher."""
    return {"teacher": deepcopy(network).eval().requires_grad_(False)}


def test_distillation_adds_the_divergence_from_the_teacher() -> None:
    images, labels = images_and_labels()
    network = small_network().eval()
    parts = teaching(network)
    assert distillation_loss(network, images, labels, 0.0, **parts).item() == pytest.approx(
        noise_loss(network, images, labels, 0.0).item(), abs=1e-6
    )  # a student that is the teacher, on the same image
    torch.manual_seed(1)
    plain = noise_loss(network, images, labels, 0.25).item()
    torch.manual_seed(1)
    whole = distillation_loss(network, images, labels, 0.25, weight=2.0, **parts).item()
    torch.manual_seed(1)
    with torch.no_grad():
        noisy = network(images + 0.25 * torch.randn_like(images)).softmax(1).numpy()
        clean = network(images).softmax(1).numpy()
    assert whole - plain == pytest.approx(
        2 * float((clean * np.log(clean / noisy)).sum(axis=1).mean()), rel=1e-4
    )


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_loss_trains_every_parameter_and_leaves_training_mode_on(name: str) -> None:
    images, labels = images_and_labels()
    network = small_network().train()
    before = network.norm.num_batches_tracked
    assert before is not None
    count = int(before)
    more = teaching(network) if name == DISTILLATION else {}
    LOSSES[name](network, images, labels, 0.25, **more).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())
    assert network.training
    assert network.norm.training
    assert int(before) == count + 1  # the attack's passes leave the batch norm alone
