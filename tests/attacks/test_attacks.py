"""Attacks against a linear network, whose best attack is known in closed form, and against their own promises."""

from __future__ import annotations

import copy
import random
import re
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simdnn.attacks import DDN, FGSM, PGD, AttackResult, Recipe, attack, predict, round_to_levels
from simdnn.attacks import recipe as make
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

RECIPES: list[Recipe] = [
    FGSM(eps=0.05),
    PGD(eps=0.05, steps=10, step_size=0.02),
    DDN(steps=30),
    CW(steps=20, searches=3),
    DeepFool(),
    FMN(steps=20),
    APGD(eps=0.05, steps=10),
    FAB(eps=0.05, steps=10),
    Square(eps=0.05, queries=50),
    MIFGSM(eps=0.05),
    PGDL2(eps=0.5),
    HopSkipJump(steps=2, queries=20),
]
"""All but AutoAttack, which is made of others and needs three classes."""
SHAPE = (3, 8, 8)


def by_name(recipe: Recipe) -> str:
    return recipe.name


@pytest.fixture(scope="module")
def linear() -> nn.Module:
    """Two classes; the margin between them is a linear function of the pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Far enough from 0 and 1 that no attack here is cut off."""
    return 0.3 + 0.4 * torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels(linear: nn.Module, images: Tensor) -> Tensor:
    return predict(linear, images)


def weight_of_margin(network: nn.Module) -> Tensor:
    weight = network.get_parameter("1.weight").detach()
    return weight[0] - weight[1]


def margins(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Logit of the true class less that of the other."""
    with torch.no_grad():
        logits = network(images)
    rows = torch.arange(len(images))
    difference: Tensor = logits[rows, labels] - logits[rows, 1 - labels]
    return difference


def test_fgsm_is_one_step_along_the_sign_cut_to_the_range(linear: nn.Module, labels: Tensor) -> None:
    images = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(2))  # some pixels leave [0, 1]
    result = attack(FGSM(eps=0.3), linear, images, labels)
    # The loss rises against the true class: the gradient's sign is that of the margin's weight, turned round.
    away = torch.where(labels == 0, -1.0, 1.0)[:, None] * weight_of_margin(linear).sign()
    expected = (images + 0.3 * away.view(20, *SHAPE)).clamp(0, 1)
    assert torch.equal(result.images, expected)


def test_fgsm_moves_the_margin_by_eps_times_the_l1_norm(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    result = attack(FGSM(eps=0.05), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    optimum = 0.05 * weight_of_margin(linear).abs().sum()
    torch.testing.assert_close(moved, optimum.expand(20), rtol=1e-4, atol=1e-5)


def test_pgd_reaches_the_same_optimum(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    # From a random start, a pixel is at most 2 eps away from where it has to go: 5 steps of 0.02.
    result = attack(PGD(eps=0.05, steps=5, step_size=0.02), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    optimum = 0.05 * weight_of_margin(linear).abs().sum()
    torch.testing.assert_close(moved, optimum.expand(20), rtol=1e-4, atol=1e-5)


def test_pgd_counts_its_last_step(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    start, one = (
        attack(PGD(eps=0.05, steps=steps, step_size=0.02), linear, images, labels, seed=3).images
        for steps in (0, 1)
    )
    moved = margins(linear, start, labels) - margins(linear, one, labels)
    assert (moved > 0.3 * 0.02 * weight_of_margin(linear).abs().sum()).all()


def test_pgd_starts_uniformly_around_the_image(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    start = attack(PGD(eps=0.1, steps=0, step_size=0.1), linear, images, labels).images - images
    assert start.mean().abs() < 4 * 0.1 / 3**0.5 / start.numel() ** 0.5
    assert start.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_ddn_approaches_the_distance_to_the_boundary(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    # With 16 bits the levels are no limit, and the best attack is the way straight to the boundary.
    result = attack(DDN(steps=200, levels=2**16), linear, images, labels)
    distance = margins(linear, images, labels) / weight_of_margin(linear).norm()
    turned = distance > 0.05  # the norm shrinks by 5 % a step at most, and the last steps are 0.01 long
    assert turned.sum() >= 15
    assert result.success[turned].all()
    ratio = (result.l2 / distance)[turned]
    assert (ratio >= 0.999).all()
    assert (ratio <= 1.05).all()


def test_ddn_attacks_are_made_of_8_bits(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    result = attack(DDN(steps=50), linear, images, labels)
    torch.testing.assert_close(result.images, result.images_8bit, rtol=0, atol=1e-6)
    assert result.success.sum() >= 18
    assert torch.equal(result.success, result.success_8bit)


def test_success_is_measured_again_after_rounding(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    result = attack(DDN(steps=200, levels=2**16), linear, images, labels)
    assert torch.equal(result.success, predict(linear, result.images) != labels)
    assert torch.equal(result.success_8bit, predict(linear, result.images_8bit) != labels)
    assert result.success_8bit.sum() < result.success.sum()


@pytest.mark.parametrize(
    ("recipe", "most"),
    [
        (CW(steps=200, searches=6, confidence=0), 1.05),
        (DeepFool(overshoot=0.02), 1.021),
        (FMN(steps=100, levels=2**16), 1.01),
        (HopSkipJump(steps=10, queries=100, most_queries=500), 1.15),
    ],
)
def test_the_smallest_euclidean_change_is_the_way_to_the_boundary(
    linear: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, most: float
) -> None:
    result = attack(recipe, linear, images, labels)
    distance = margins(linear, images, labels) / weight_of_margin(linear).norm()
    assert result.success.all()
    ratio = result.l2 / distance
    assert (ratio >= 0.999).all()
    assert ratio.median() <= most


def test_fab_finds_the_smallest_change_of_any_pixel(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    distance = margins(linear, images, labels) / weight_of_margin(linear).abs().sum()
    result = attack(FAB(eps=float(distance.median()), steps=30), linear, images, labels)
    within = distance < 0.9 * distance.median()
    assert result.success[within].all()
    assert not result.success[distance > 1.01 * distance.median()].any()
    assert (result.linf / distance)[within].max() <= 1.1
    assert torch.equal(result.images[~result.success], images[~result.success])


def test_pgd_l2_moves_the_margin_by_eps_times_the_l2_norm(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    # Each step turns the change towards the best direction; a tangent of it is left.
    result = attack(PGDL2(eps=0.4, steps=60), linear, images, labels)
    moved = margins(linear, images, labels) - margins(linear, result.images, labels)
    share = moved / (0.4 * weight_of_margin(linear).norm())
    assert (share <= 1 + 1e-4).all()
    assert (share >= 0.99).all()


def test_mifgsm_reaches_the_optimum_of_the_sign(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    result = attack(MIFGSM(eps=0.05), linear, images, labels)
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
    network.requires_grad_(False).get_parameter("3.weight").mul_(8)  # steep: the gradient turns on the way
    images = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(3))
    labels = predict(network, images)
    found = attack(MIFGSM(eps=0.2, steps=8, momentum=momentum), network, images, labels).images
    pairs = zip(images, labels, strict=True)
    expected = torch.stack([naive_mifgsm(network, x, y, 0.2, 8, momentum) for x, y in pairs])
    # A sum so near 0 that rounding decides on its sign is rare.
    assert ((found - expected).abs() > 1e-5).float().mean() < 2e-3
    other = attack(MIFGSM(eps=0.2, steps=8, momentum=1.5), network, images, labels).images
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
    ("recipe", "share"),
    [
        (APGD(eps=1.0, steps=30), 1.0),
        (APGD(eps=1.0, steps=30, loss="dlr"), 1.0),
        (AutoAttack(eps=1.0, steps=20, queries=50), 1.0),
        (Square(eps=1.0, queries=2000), 0.2),
    ],
)
def test_within_a_budget_what_can_be_turned_is_turned(
    three: nn.Module, images: Tensor, recipe: Recipe, share: float
) -> None:
    labels = predict(three, images)
    distance = margins(three, images, labels) / weight_of_margin(three).abs().sum()
    eps = float(distance.median())
    result = attack(make(asdict(recipe) | {"attack": recipe.name, "eps": eps}), three, images, labels)
    assert result.success[distance < 0.95 * eps].float().mean() >= share
    assert not result.success[distance > 1.001 * eps].any()
    assert result.linf.max() <= eps + 1e-6


def test_the_dlr_loss_needs_three_classes(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    with pytest.raises(
        InputError, match="the DLR loss needs three classes, the network has 2; take loss 'ce'"
    ):
        attack(APGD(eps=0.1, loss="dlr"), linear, images, labels)


def test_autoattack_needs_three_classes_from_the_start(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    told = "autoattack needs three classes for its DLR loss, the network has 2; take apgd, fab or square"
    with pytest.raises(InputError, match=re.escape(told)):
        attack(AutoAttack(eps=1.0), linear, images, labels)  # APGD alone would turn them all


@pytest.mark.parametrize("flat", [False, True], ids=["sloping", "flat"])
@pytest.mark.parametrize(
    "recipe",
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
def test_an_image_that_was_not_turned_stays_as_it_was(recipe: Recipe, images: Tensor, flat: bool) -> None:
    """Nor is there a warning of it, even where no gradient is left."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()
    with torch.no_grad():
        network.get_parameter("1.bias")[0] = 100
        network.get_parameter("1.weight").mul_(0 if flat else 1)
    result = attack(recipe, network, images[:5], torch.zeros(5, dtype=torch.int64))
    assert torch.equal(result.images, images[:5])
    assert not result.success.any()


class Brightness(nn.Module):
    """Class 1 above a mean of 0.4, as noise is; class 0 below, as a black picture is."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(10.0))

    def forward(self, images: Tensor) -> Tensor:
        bright = self.slope * (images.flatten(1).mean(dim=1) - 0.4)
        return torch.stack([-bright, bright], dim=1)


def test_a_black_picture_is_no_attack_of_cw(images: Tensor) -> None:
    # Where it finds none, foolbox returns a black picture, which has another label here.
    bright = 0.5 + 0.5 * images
    result = attack(CW(steps=2, searches=1), Brightness().eval(), bright, torch.ones(20, dtype=torch.int64))
    assert torch.equal(result.images, bright)


def test_hopskipjump_gets_as_near_in_a_batch_as_alone(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    recipe = HopSkipJump(steps=6, queries=50)
    alone, together = (attack(recipe, linear, images, labels, batch_size=n).l2.median() for n in (1, 20))
    torch.testing.assert_close(together, alone, rtol=0.05, atol=0)


def test_one_image_without_a_start_does_not_stop_hopskipjump(images: Tensor) -> None:
    network = Brightness().eval()
    both = torch.cat([images[:2] / 3, 0.5 + 0.5 * images[:2]])  # noise turns the dark ones alone
    result = attack(HopSkipJump(steps=2, queries=20), network, both, predict(network, both))
    assert result.success.tolist() == [True, True, False, False]
    assert torch.equal(result.images[2:], both[2:])


@pytest.mark.parametrize("recipe", RECIPES, ids=by_name)
def test_libraries_leave_the_global_generators_alone(
    linear: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe
) -> None:
    before = (
        torch.get_rng_state(),
        np.random.get_state(legacy=False)["state"]["key"].copy(),  # noqa: NPY002
        random.getstate(),
    )
    attack(recipe, linear, images[:4], labels[:4])
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.parametrize("recipe", RECIPES, ids=by_name)
class TestEveryAttack:
    def run(self, recipe: Recipe, linear: nn.Module, seed: int = 0, batch_size: int = 7) -> AttackResult:
        images = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(4))
        return attack(recipe, linear, images, predict(linear, images), seed=seed, batch_size=batch_size)

    def test_images_stay_in_range(self, recipe: Recipe, linear: nn.Module) -> None:
        result = self.run(recipe, linear)
        assert result.images.shape == (20, *SHAPE)
        assert 0 <= result.images.min() < result.images.max() <= 1

    def test_8_bit_images_are_multiples_of_1_in_255(self, recipe: Recipe, linear: nn.Module) -> None:
        result = self.run(recipe, linear)
        levels = result.images_8bit * 255
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert (result.images_8bit - result.images).abs().max() <= 0.5 / 255 + 1e-6

    def test_norms_are_those_of_the_change(self, recipe: Recipe, linear: nn.Module) -> None:
        images = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(4))
        result = self.run(recipe, linear)
        change = (result.images - images).flatten(1)
        torch.testing.assert_close(result.l2, change.square().sum(1).sqrt())
        torch.testing.assert_close(result.linf, change.abs().max(1).values)
        norm = result.l2 if recipe.name == "pgd-l2" else result.linf
        assert norm.max() <= getattr(recipe, "eps", 1.0) + 1e-5

    def test_the_same_seed_gives_the_same_images(self, recipe: Recipe, linear: nn.Module) -> None:
        first = self.run(recipe, linear).images
        torch.manual_seed(99)  # the global stream of random numbers has no say
        assert torch.equal(first, self.run(recipe, linear).images)

    def test_records_its_strength_so_that_it_can_be_made_again(
        self, recipe: Recipe, linear: nn.Module
    ) -> None:
        recorded = self.run(recipe, linear, seed=5).parameters
        assert recorded.pop("seed") == 5
        assert make(recorded) == recipe

    def test_leaves_the_network_as_it_was(self, recipe: Recipe, linear: nn.Module) -> None:
        before = {name: tensor.clone() for name, tensor in linear.state_dict().items()}
        self.run(recipe, linear)
        assert all(torch.equal(before[name], tensor) for name, tensor in linear.state_dict().items())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in linear.parameters())

    def test_strength_cannot_be_changed_afterwards(self, recipe: Recipe, linear: nn.Module) -> None:
        with pytest.raises(FrozenInstanceError):
            setattr(recipe, next(iter(recipe.__dataclass_fields__)), 1)


def test_another_seed_gives_another_start(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    recipe = PGD(eps=0.05, steps=1, step_size=0.01)
    first, second = (attack(recipe, linear, images, labels, seed=seed).images for seed in (0, 1))
    assert not torch.equal(first, second)


def test_batches_do_not_matter_to_an_attack_that_draws_nothing(
    linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    whole, parts = (attack(DDN(steps=20), linear, images, labels, batch_size=size).images for size in (20, 6))
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-6)


def test_progress_counts_images(linear: nn.Module, images: Tensor, labels: Tensor) -> None:
    seen: list[tuple[int, int]] = []
    attack(
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
        attack(FGSM(0.1), linear, scale * torch.ones(shape), torch.zeros(n_labels, dtype=torch.int64))


def test_a_network_in_training_is_refused(images: Tensor, labels: Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).train()
    with pytest.raises(InputError, match=re.escape("call model.eval()")):
        attack(FGSM(0.1), network, images, labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("recipe", RECIPES, ids=by_name)
def test_a_network_on_a_gpu_gives_what_it_gives_on_the_cpu(
    recipe: Recipe, linear: nn.Module, images: Tensor, labels: Tensor
) -> None:
    expected = attack(recipe, linear, images, labels)
    found = attack(recipe, copy.deepcopy(linear).cuda(), images, labels)
    torch.testing.assert_close(found.l2, expected.l2, rtol=0.02, atol=1e-4)
    assert torch.equal(found.success_8bit, expected.success_8bit)


def test_a_recipe_may_be_a_name_alone() -> None:
    assert make("deepfool") == make({"attack": "deepfool"}) == DeepFool()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("pgdd", "expected an attack among fgsm, pgd, ddn"),
        ({"attack": ["pgd"]}, "got ['pgd']"),
        ("pgd", "pgd needs eps"),
        ({"attack": "apgd", "eps": 0.1, "loss": 3}, "apgd: expected a word for loss, got 3"),
        ({"attack": "cw", "steps": True}, "cw: expected a whole number above 0 for steps, got True"),
        (
            {"attack": "cw", "confidence": float("nan")},
            "expected a number of 0 or more for confidence, got nan",
        ),
        ({"attack": "fgsm", "eps": float("inf")}, "fgsm: expected a number above 0 for eps, got inf"),
        (
            {"attack": "ddn", "steps": 9, "levels": 1},
            "expected a whole number of 2 or more for levels, got 1",
        ),
        ({"attack": "square", "eps": 8}, "got 8; for 8 of 255 levels, give 0.03137"),
    ],
)
def test_settings_that_make_no_attack_are_refused(settings: dict[str, object] | str, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        make(settings)
