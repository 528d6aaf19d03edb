"""What holds for every attack: ranges, norms, seeds, records, refusals."""

from __future__ import annotations

import copy
import random
import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from tests.attacks.networks import ATTACKS, SHAPE, Brightness, by_name
from torch import Tensor, nn

from simdnn.attacks import (
    DDN,
    FGSM,
    PGD,
    Attack,
    AttackResult,
    make_attack,
    predict,
    round_to_levels,
    run_attack,
)
from simdnn.attacks.apgd import APGD
from simdnn.attacks.autoattack import AutoAttack
from simdnn.attacks.cw import CW
from simdnn.attacks.deepfool import DeepFool
from simdnn.attacks.fab import FAB
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.attacks.square import Square
from simdnn.errors import InputError


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
def test_libraries_leave_the_global_generators_alone(
    linear: nn.Module, images: Tensor, labels: Tensor, attack: Attack
) -> None:
    before = (
        torch.get_rng_state(),
        np.random.get_state(legacy=False)["state"]["key"].copy(),  # noqa: NPY002
        random.getstate(),
    )
    run_attack(attack, linear, images[:4], labels[:4])
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
class TestEveryAttack:
    def run(self, attack: Attack, linear: nn.Module, seed: int = 0, batch_size: int = 7) -> AttackResult:
        images = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(4))
        return run_attack(attack, linear, images, predict(linear, images), seed=seed, batch_size=batch_size)

    def test_images_stay_in_range(self, attack: Attack, linear: nn.Module) -> None:
        result = self.run(attack, linear)
        assert result.images.shape == (20, *SHAPE)
        assert 0 <= result.images.min() < result.images.max() <= 1

    def test_8_bit_images_are_multiples_of_1_in_255(self, attack: Attack, linear: nn.Module) -> None:
        result = self.run(attack, linear)
        levels = result.images_8bit * 255
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert (result.images_8bit - result.images).abs().max() <= 0.5 / 255 + 1e-6

    def test_norms_are_those_of_the_change(self, attack: Attack, linear: nn.Module) -> None:
        images = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(4))
        result = self.run(attack, linear)
        change = (result.images - images).flatten(1)
        torch.testing.assert_close(result.l2, change.square().sum(1).sqrt())
        torch.testing.assert_close(result.linf, change.abs().max(1).values)
        norm = result.l2 if attack.name == "pgd-l2" else result.linf
        assert norm.max() <= getattr(attack, "eps", 1.0) + 1e-5

    def test_the_same_seed_gives_the_same_images(self, attack: Attack, linear: nn.Module) -> None:
        first = self.run(attack, linear).images
        torch.manual_seed(99)  # the global generator is not used
        assert torch.equal(first, self.run(attack, linear).images)

    def test_records_its_strength_so_that_it_can_be_made_again(
        self, attack: Attack, linear: nn.Module
    ) -> None:
        recorded = self.run(attack, linear, seed=5).parameters
        assert recorded.pop("seed") == 5
        assert make_attack(recorded) == attack

    def test_leaves_the_network_as_it_was(self, attack: Attack, linear: nn.Module) -> None:
        before = {name: tensor.clone() for name, tensor in linear.state_dict().items()}
        self.run(attack, linear)
        assert all(torch.equal(before[name], tensor) for name, tensor in linear.state_dict().items())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in linear.parameters())

    def test_strength_cannot_be_changed_afterwards(self, attack: Attack, linear: nn.Module) -> None:
        with pytest.raises(FrozenInstanceError):
            setattr(attack, next(iter(attack.__dataclass_fields__)), 1)


def test_another_seed_gives_another_start(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    attack = PGD(eps=0.05, steps=1, step_size=0.01)
    first, second = (run_attack(attack, linear, images, labels, seed=seed).images for seed in (0, 1))
    assert not torch.equal(first, second)


def test_batches_do_not_matter_to_an_attack_that_draws_nothing(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    whole, parts = (
        run_attack(DDN(steps=20), linear, images, labels, batch_size=size).images for size in (20, 6)
    )
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-6)


def test_progress_counts_images(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    seen: list[tuple[int, int]] = []
    run_attack(
        FGSM(0.1),
        linear,
        images,
        labels,
        batch_size=8,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(8, 20), (16, 20), (20, 20)]


def test_rounding_keeps_both_ends() -> None:
    torch.testing.assert_close(
        round_to_levels(torch.tensor([0.0, 0.24, 0.26, 1.0]), 3), torch.tensor([0.0, 0.0, 0.5, 1.0])
    )


@pytest.mark.parametrize(
    ("shape", "scale", "n_labels", "message"),
    [
        ((4, 1, 8, 8), 1.0, 4, "expected images of shape (N, 3, H, W), N >= 1, got (4, 1, 8, 8)"),
        ((0, 3, 8, 8), 1.0, 0, "expected images of shape (N, 3, H, W), N >= 1, got (0, 3, 8, 8)"),
        ((4, 3, 8, 8), 255.0, 4, "expected images in [0, 1], got values from 255 to 255"),
        ((4, 3, 8, 8), 1.0, 3, "expected 4 labels, one per image, got shape (3,)"),
    ],
)
def test_input_that_does_not_fit_is_refused(
    linear: nn.Module, shape: tuple[int, ...], scale: float, n_labels: int, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run_attack(FGSM(0.1), linear, scale * torch.ones(shape), torch.zeros(n_labels, dtype=torch.int64))


def test_a_network_in_training_is_refused(images: Tensor, labels: Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).train()
    with pytest.raises(InputError, match=re.escape("call model.eval()")):
        run_attack(FGSM(0.1), network, images, labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
def test_a_network_on_a_gpu_gives_what_it_gives_on_the_cpu(
    attack: Attack, linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    expected = run_attack(attack, linear, images, labels)
    found = run_attack(attack, copy.deepcopy(linear).cuda(), images, labels)
    torch.testing.assert_close(found.l2, expected.l2, rtol=0.02, atol=1e-4)
    assert torch.equal(found.success_8bit, expected.success_8bit)


@pytest.mark.parametrize("flat", [False, True], ids=["steep", "flat"])
@pytest.mark.parametrize(
    "attack",
    [
        CW(steps=10, searches=3),
        DeepFool(steps=5),
        APGD(eps=0.05, steps=5),
        APGD(eps=0.05, steps=5, loss="dlr"),
        FAB(eps=0.05, steps=5),
        Square(eps=0.05, queries=20),
        AutoAttack(eps=0.05, steps=5, queries=20),
        HopSkipJump(steps=2, queries=20),
    ],
    ids=by_name,
)
def test_an_image_that_resists_comes_back_unchanged(attack: Attack, images: Tensor, flat: bool) -> None:
    """Nor is there a warning of it, even where no gradient is left."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()
    with torch.no_grad():
        network.get_parameter("1.bias")[0] = 100
        network.get_parameter("1.weight").mul_(0 if flat else 1)
    result = run_attack(attack, network, images[:5], torch.zeros(5, dtype=torch.int64))
    assert torch.equal(result.images, images[:5])
    assert not result.success.any()


def test_success_is_measured_again_after_rounding(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    result = run_attack(DDN(steps=200, levels=2**16), linear, images, labels)
    assert torch.equal(result.success, predict(linear, result.images) != labels)
    assert torch.equal(result.success_8bit, predict(linear, result.images_8bit) != labels)
    assert result.success_8bit.sum() < result.success.sum()


def test_ddn_attacks_are_made_of_8_bits(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    result = run_attack(DDN(steps=50), linear, images, labels)
    torch.testing.assert_close(result.images, result.images_8bit, rtol=0, atol=1e-6)
    assert result.success.sum() >= 18
    assert torch.equal(result.success, result.success_8bit)


def test_a_black_picture_is_no_attack_of_cw(images: Tensor) -> None:
    # Where it fails, foolbox returns a black picture, which has another label here.
    bright = 0.5 + 0.5 * images
    result = run_attack(
        CW(steps=2, searches=1), Brightness().eval(), bright, torch.ones(20, dtype=torch.int64)
    )
    assert torch.equal(result.images, bright)


def test_one_image_without_a_start_does_not_stop_hopskipjump(images: Tensor) -> None:
    network = Brightness().eval()
    both = torch.cat(
        [images[:2] / 3, 0.5 + 0.5 * images[:2]]
    )  # only the dark ones are misclassified with noise
    result = run_attack(HopSkipJump(steps=2, queries=20), network, both, predict(network, both))
    assert result.success.tolist() == [True, True, False, False]
    assert torch.equal(result.images[2:], both[2:])
