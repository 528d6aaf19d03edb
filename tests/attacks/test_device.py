"""Attacks send their images to the network's device."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.networks import ATTACKS, SHAPE, ImagesReceived, NetworkOnMeta, by_name
from torch import nn

from simdnn.arrays import double
from simdnn.attacks import Attack, run_attack
from simdnn.attacks.adaptive import Goal, run_adaptive_attack
from simdnn.attacks.adaptive.attacks import Selective
from simdnn.attacks.adaptive.minimum_norm import minimum_norm_attack
from simdnn.attacks.attack import gradient_of_loss, n_classes, predict
from simdnn.networks.device import device_of

IMAGES, LABELS = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.zeros(2).long()


def test_the_device_is_that_of_parameters_then_of_buffers() -> None:
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device_of(NetworkOnMeta()).type == "meta"
    assert device_of(nn.Flatten()).type == "cpu"
    assert device_of(lambda images: images).type == "cpu"


def test_precision_is_that_which_the_device_has() -> None:
    assert double(torch.ones(1)).dtype == torch.float64


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
def test_every_attack_sends_its_images_there(attack: Attack) -> None:
    with pytest.raises(
        (ImagesReceived, RuntimeError), match="meta"
    ):  # foolbox reads the images' values first
        attack.perturb(NetworkOnMeta(), IMAGES, LABELS, torch.Generator())


def test_so_do_the_helpers() -> None:
    for call in (
        lambda: predict(NetworkOnMeta(), IMAGES),
        lambda: gradient_of_loss(NetworkOnMeta(), IMAGES, LABELS),
        lambda: n_classes(NetworkOnMeta(), IMAGES),
        lambda: run_attack(ATTACKS[0], NetworkOnMeta(), IMAGES, LABELS),
    ):
        with pytest.raises(ImagesReceived):
            call()


@pytest.mark.parametrize("run", [run_adaptive_attack, minimum_norm_attack])
def test_adaptive_attacks_send_images_and_targets_there(run: object) -> None:
    goal = Goal(torch.ones(2).long(), 0.0)
    radius = {"eps": 0.1} if run is run_adaptive_attack else {}
    with pytest.raises(ImagesReceived):
        run(NetworkOnMeta(), Selective(), IMAGES, goal, **radius)  # type: ignore[operator]
