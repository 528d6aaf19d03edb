"""BaRT draws as its paper says, is attacked through straight-through gradients, and its average is an average."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from simdnn.attacks import FGSM, PGD, run_attack
from simdnn.errors import InputError
from simdnn.evaluation.defences import Averaged, bart, reseed
from simdnn.evaluation.defences.bart import BaRT
from simdnn.evaluation.defences.transforms import GROUPS, Pixels


@pytest.fixture
def network() -> nn.Module:
    """Not linear, so that its gradient depends on where it is taken."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3)
    ).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def seen() -> BaRT:
    """What a network behind BaRT is shown."""
    return BaRT(nn.Identity(), seed=3)


def test_every_image_is_changed_within_the_range_and_in_its_own_way(seen: BaRT, images: Tensor) -> None:
    changed = seen(images[:1].repeat(4, 1, 1, 1))
    assert changed.shape == (4, 3, 32, 32)
    assert changed.dtype == torch.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    distances = torch.cdist(torch.cat([images[:1], changed]).flatten(1), changed.flatten(1))
    assert (distances > 0.1).sum() == 16  # 5 x 4, but for the four that are compared with themselves


def test_a_seed_makes_the_draws_again_and_calls_go_on_drawing(seen: BaRT, images: Tensor) -> None:
    first, second = seen(images), seen(images)
    assert (first - second).abs().max() > 0.01
    seen.reseed(3)
    torch.testing.assert_close(seen(images), first, rtol=0, atol=0)
    torch.testing.assert_close(BaRT(nn.Identity(), seed=3)(images), first, rtol=0, atol=0)
    assert (BaRT(nn.Identity(), seed=4)(images) - first).abs().max() > 0.01


def test_the_draws_do_not_depend_on_how_images_are_batched(seen: BaRT, images: Tensor) -> None:
    together = seen(images)
    seen.reseed(3)
    torch.testing.assert_close(torch.cat([seen(image[None]) for image in images]), together, rtol=0, atol=0)


def test_reseed_finds_every_bart_within_a_network(seen: BaRT, images: Tensor) -> None:
    both = nn.Sequential(seen, Averaged(BaRT(nn.Identity(), seed=0), 2))
    reseed(both, 5)
    first = both(images)
    reseed(both, 5)
    torch.testing.assert_close(both(images), first, rtol=0, atol=0)


def test_the_caller_s_random_numbers_are_left_alone(seen: BaRT, images: Tensor) -> None:
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    for _ in range(10):
        seen(images)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002


def test_five_different_groups_in_any_order_and_any_of_their_transforms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2,000 draws: each count is binomial; a deviation this large has a probability of 1e-5."""
    drawn: list[tuple[str, int]] = []

    def note(pixels: Pixels, draw: np.random.Generator, place: tuple[str, int]) -> Pixels:
        drawn.append(place)
        return pixels

    recorded = {
        group: tuple(partial(note, place=(group, number)) for number in range(len(members)))
        for group, members in GROUPS.items()
    }
    monkeypatch.setattr(bart, "GROUPS", recorded)
    n = 2000
    BaRT(nn.Identity(), seed=0)(torch.zeros(n, 3, 2, 2))
    barrages = [drawn[i : i + 5] for i in range(0, len(drawn), 5)]
    assert len(barrages) == n
    assert all(len({group for group, _ in barrage}) == 5 for barrage in barrages)
    groups = Counter(group for group, _ in drawn)
    for group, members in GROUPS.items():
        assert binomtest(groups[group], n, 0.5).pvalue > 1e-5
        for place in range(5):
            there = sum(barrage[place][0] == group for barrage in barrages)
            assert binomtest(there, n, 0.1).pvalue > 1e-5
        for number in range(len(members)):
            count = sum(one == (group, number) for one in drawn)
            assert binomtest(count, groups[group], 1 / len(members)).pvalue > 1e-5


def test_the_picture_is_cut_to_the_range_after_each_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[float] = []

    def add(pixels: Pixels, draw: np.random.Generator) -> Pixels:
        received.append(float(pixels.max()))
        return pixels + 0.7

    monkeypatch.setattr(bart, "GROUPS", {str(number): (add,) for number in range(10)})
    result = BaRT(nn.Identity(), seed=0)(torch.zeros(1, 3, 2, 2))
    assert received == [0, 0.7, 1, 1, 1]
    assert result.max() == 1


def test_the_gradient_is_the_network_s_at_the_transformed_images(network: nn.Module, images: Tensor) -> None:
    images.requires_grad_(True)
    defended = BaRT(network, seed=3)
    defended(images).logsumexp(dim=1).sum().backward()
    shown = BaRT(nn.Identity(), seed=3)(images.detach()).requires_grad_(True)
    network(shown).logsumexp(dim=1).sum().backward()
    assert images.grad is not None
    assert shown.grad is not None
    torch.testing.assert_close(images.grad, shown.grad, rtol=0, atol=0)
    bare = images.detach().clone().requires_grad_(True)
    network(bare).logsumexp(dim=1).sum().backward()
    assert bare.grad is not None
    assert (bare.grad - images.grad).abs().max() > 1e-4  # not the gradient at the images themselves


def test_the_average_is_the_mean_over_draws_and_so_is_its_gradient(
    network: nn.Module, images: Tensor
) -> None:
    samples = 5
    images.requires_grad_(True)
    mean = Averaged(BaRT(network, seed=3), samples)(images)
    mean[:, 0].sum().backward()
    one = BaRT(network, seed=3)
    logits, gradients = [], []
    for _ in range(samples):
        apart = images.detach().clone().requires_grad_(True)
        logits.append(one(apart))
        logits[-1][:, 0].sum().backward()
        assert apart.grad is not None
        gradients.append(apart.grad)
    assert images.grad is not None
    torch.testing.assert_close(mean, sum(logits, torch.tensor(0.0)) / samples)
    torch.testing.assert_close(images.grad, sum(gradients, torch.tensor(0.0)) / samples)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-4


def test_an_average_varies_less_than_one_draw(network: nn.Module, images: Tensor) -> None:
    """The variance of a mean over 8 draws is an eighth; half of that of one draw is far from chance."""
    one, eight = BaRT(network, seed=0), Averaged(BaRT(network, seed=1), 8)
    with torch.no_grad():
        single = torch.stack([one(images) for _ in range(24)]).var(dim=0).mean()
        mean = torch.stack([eight(images) for _ in range(24)]).var(dim=0).mean()
    assert mean < single / 2


@pytest.mark.parametrize("samples", [1, 3])
def test_attacks_run_through_and_again_alike(network: nn.Module, images: Tensor, samples: int) -> None:
    labels = network(images).argmax(dim=1)
    target = Averaged(BaRT(network, seed=0), samples)
    for recipe in (FGSM(eps=0.05), PGD(eps=0.05, steps=3, step_size=0.02)):
        results = []
        for _ in range(2):
            reseed(target, 7)
            results.append(run_attack(recipe, target, images, labels, seed=1).images)
        torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
        assert 0.04 < (results[0] - images).abs().max() <= 0.05 + 1e-6


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 32, 32), (0, 3, 32, 32)])
def test_other_shapes_are_refused(seen: BaRT, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"expected images of shape (N, 3, H, W), N >= 1, got {shape}")
    ):
        seen(torch.zeros(shape))


def test_an_average_over_nothing_is_refused(network: nn.Module) -> None:
    with pytest.raises(InputError, match=r"^expected at least one draw to average over, got 0$"):
        Averaged(network, 0)
