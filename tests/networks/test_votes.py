"""Votes under noise: replayable, however they are cut, and those of the true shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.networks import voter
from simdnn.networks.auxiliary import AuxiliaryNetwork, AuxiliarySpec
from simdnn.networks.backbone import load_backbone
from simdnn.networks.draws import Draws
from simdnn.networks.extractor import Extractor
from simdnn.networks.reduction import reduced, reduction_norm
from simdnn.networks.votes import count_votes, mean_posterior
from simdnn.smoothing.draws import image_seed, noise

SECRET = b"a secret of 32 bytes, for a test"


class Half(nn.Module):
    """Two classes: whether the mean of all values is above one half."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-mean, mean], dim=1)


@pytest.fixture
def network() -> AuxiliaryNetwork:
    spec = AuxiliarySpec("resnet18", 4, 0.5, ("dark", "light"), (0.0,) * 3, (1.0,) * 3)
    return AuxiliaryNetwork(Half(), spec).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_votes_are_those_of_each_draw_on_its_own(
    network: AuxiliaryNetwork, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = Draws(SECRET, 37)
    expected = np.zeros((3, 2), dtype=int)
    for row, image in enumerate(images):
        for number in range(37):
            drawn = torch.from_numpy(noise(draws.seed(image.numpy()), number, number + 1, (3, 4, 4)))
            expected[row, int(network(reduced(image[None], 4) + 0.5 * drawn).argmax())] += 1
    assert count_votes(network, images, draws).tolist() == expected.tolist()
    monkeypatch.setattr(voter, "AT_ONCE", 5)
    assert count_votes(network, images, draws).tolist() == expected.tolist()
    first = count_votes(network, images, Draws(SECRET, 10))
    rest = count_votes(network, images, draws, start=10)
    assert (first + rest).tolist() == expected.tolist()


def test_an_images_draws_end_once_they_are_enough(network: AuxiliaryNetwork, images: Tensor) -> None:
    whole = count_votes(network, images, Draws(SECRET, 12))
    found = count_votes(
        network, images, Draws(SECRET, 37), enough=lambda row, counts: counts.sum() >= (3, 7, 11)[row]
    )
    assert found.sum(axis=1).tolist() == [4, 8, 12]
    assert found[2].tolist() == whole[2].tolist()  # the same draws, however many go together


def test_the_share_of_many_draws_is_the_true_share(network: AuxiliaryNetwork) -> None:
    """The mean of 48 noisy values has a known distribution."""
    image = torch.full((1, 3, 8, 8), 0.55)
    true = ndtr(0.05 / (0.5 / 48**0.5))
    n = 4000
    (found,) = count_votes(network, image, Draws(SECRET, n))
    assert abs(found[1] / n - true) < 4 * (true * (1 - true) / n) ** 0.5


def test_the_seed_follows_from_the_pixels_and_from_the_secret(images: Tensor) -> None:
    draws, image = Draws(SECRET, 1), (images[0] * 255).round() / 255
    assert draws.seed(image.numpy()) == draws.seed(image.clone().numpy())
    changed = image.clone()
    changed[0, 0, 0] += 1 / 255 if changed[0, 0, 0] < 0.5 else -1 / 255
    assert draws.seed(image.numpy()) != draws.seed(changed.numpy())
    assert draws.seed(image.numpy()) != Draws(SECRET[::-1], 1).seed(image.numpy())


def test_the_key_tells_neither_secret_nor_seed() -> None:
    key = Draws(SECRET, 7).key
    assert SECRET.hex() not in key
    assert key != Draws(SECRET, 8).key
    assert key != Draws(SECRET[::-1], 7).key


@pytest.mark.parametrize(("secret", "n"), [(SECRET, 0), (b"short", 5)])
def test_draws_without_number_or_secret_are_refused(secret: bytes, n: int) -> None:
    with pytest.raises(InputError, match="expected at least 1 draw and a secret of at least 16 bytes"):
        Draws(secret, n)


def test_the_mean_posterior_has_a_gradient_and_sums_to_one(network: AuxiliaryNetwork, images: Tensor) -> None:
    images.requires_grad_(True)
    found = mean_posterior(network, images, 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(3))
    (gradient,) = torch.autograd.grad(found[:, 1].sum(), images)
    assert (gradient > 0).all()
    again = mean_posterior(network, images, 4, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)


@pytest.mark.parametrize(("size", "side"), [((8, 8), 4), ((8, 8), 8), ((9, 7), 4), ((5, 5), 8)])
def test_no_change_is_stretched_beyond_the_norm_and_one_reaches_it(size: tuple[int, int], side: int) -> None:
    norm = reduction_norm(*size, side)
    columns = [
        reduced(torch.eye(size[0] * size[1], dtype=torch.float64)[i].reshape(1, 1, *size), side).flatten()
        for i in range(size[0] * size[1])
    ]
    assert norm == pytest.approx(float(torch.linalg.matrix_norm(torch.stack(columns), 2)), rel=1e-5)


def test_an_extractor_without_noisy_network_refuses_draws(images: Tensor) -> None:
    backbone = load_backbone("half", network=nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), size=8)
    spec = AuxiliarySpec("resnet18", 4, 0.0, ("dark", "light"), (0.0,) * 3, (1.0,) * 3)
    for auxiliary, got in ((None, "none"), (AuxiliaryNetwork(Half(), spec), "one without noise")):
        extractor = Extractor([backbone], auxiliary=auxiliary, device="cpu")
        with pytest.raises(InputError, match=f"trained under noise, for noisy draws; got {got}"):
            extractor.extract(images, draws=Draws(SECRET, 3))


def test_an_extractor_counts_votes_only_where_draws_are_asked_for(
    network: AuxiliaryNetwork, images: Tensor
) -> None:
    backbone = load_backbone("half", network=nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), size=8)
    extractor = Extractor([backbone], auxiliary=network, batch_size=2, device="cpu")
    draws = Draws(SECRET, 20)
    assert extractor.extract(images).votes.shape == (3, 0)
    assert (
        extractor.extract(images, draws=draws).votes.tolist() == count_votes(network, images, draws).tolist()
    )


def test_other_pixels_have_other_draws_whatever_their_8_bits(images: Tensor) -> None:
    """Else an attacker could search among all images that are rounded alike, under noise that stays the same."""
    draws = Draws(SECRET, 4)
    levels = ((images[0] * 255).round() / 255).numpy()
    moved = levels + np.float32(1e-4)
    assert draws.seed(levels) == image_seed(SECRET, (levels * 255).round().astype(np.uint8).tobytes())
    assert draws.seed(moved) != draws.seed(levels)
    assert draws.seed(moved) != draws.seed(moved + np.float32(1e-6))


def test_the_secret_is_not_printed() -> None:
    assert repr(SECRET) not in repr(Draws(SECRET, 4))


def test_a_certificate_has_draws_of_its_own(images: Tensor) -> None:
    draws = Draws(SECRET, 4)
    assert draws.for_certificate(9) == Draws(SECRET, 50).for_certificate(9)
    assert draws.for_certificate(9).n == 9
    assert draws.for_certificate(9).seed(images[0].numpy()) != draws.seed(images[0].numpy())
