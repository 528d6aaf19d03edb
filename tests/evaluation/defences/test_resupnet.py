"""ResUpNet changes luminance only, at any size, reads only weights that fit, and can be trained."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import resnet18

from simdnn.errors import InputError, WeightsError
from simdnn.evaluation.defences import defended
from simdnn.evaluation.defences.bart import BaRT
from simdnn.evaluation.defences.defended import DENOISER
from simdnn.evaluation.defences.resupnet import (
    NOISE,
    SIDE,
    Denoiser,
    ResUpNet,
    encoder_weights,
    load_denoiser,
    to_rgb,
    to_ycbcr,
)
from simdnn.evaluation.names import DEFENCES
from simdnn.networks.weights import fit_weights


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """Two real ones, (2, 3, 224, 224)."""
    pictures = [
        np.asarray(Image.fromarray(load_sample_image(name)).resize((SIDE, SIDE)))
        for name in ("china.jpg", "flower.jpg")
    ]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser().eval()


class Brighter(nn.Module):
    """Takes a denoiser's place: luminance as it is, and a little."""

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        assert images.shape[-2:] == noise.shape[-2:] == (SIDE, SIDE)
        return to_ycbcr(images)[:, :1] + 0.1


def behind(denoiser: nn.Module) -> ResUpNet:
    return ResUpNet(nn.Flatten(), denoiser)  # type: ignore[arg-type]


def test_colours_turn_as_pillow_turns_them(photographs: Tensor) -> None:
    bytes_ = (photographs * 255).round().byte()
    for picture, ours in zip(bytes_, to_ycbcr(photographs), strict=True):
        theirs = np.asarray(Image.fromarray(picture.permute(1, 2, 0).numpy()).convert("YCbCr"))
        ours[1:] += 128 / 255  # Pillow keeps chroma about 128
        assert np.abs(ours.permute(1, 2, 0).numpy() * 255 - theirs).max() <= 1.01  # it rounds down


def test_colours_come_back(photographs: Tensor) -> None:
    torch.testing.assert_close(to_rgb(to_ycbcr(photographs)), photographs, rtol=0, atol=1e-6)
    grey = torch.full((1, 3, 1, 1), 0.3)
    torch.testing.assert_close(to_ycbcr(grey).flatten(), torch.tensor([0.3, 0.0, 0.0]))


@pytest.mark.parametrize("size", [(224, 224), (32, 32), (96, 64), (300, 250)])
def test_only_luminance_changes_at_any_size(photographs: Tensor, size: tuple[int, int]) -> None:
    images = 0.3 + 0.3 * interpolate(photographs, size=size, mode="bilinear", antialias=True)
    result = behind(Brighter()).denoised(images)
    before, after = to_ycbcr(images), to_ycbcr(result)
    assert result.shape == images.shape
    torch.testing.assert_close(after[:, 1:], before[:, 1:], rtol=0, atol=1e-6)
    if size == (SIDE, SIDE):
        torch.testing.assert_close(after[:, :1], before[:, :1] + 0.1)
    else:  # there and back costs a little sharpness, but no brightness
        assert (after[:, 0] - before[:, 0] - 0.1).abs().mean() < 0.02


def test_the_result_is_cut_to_the_range(photographs: Tensor) -> None:
    result = behind(Brighter()).denoised(photographs)
    assert result.max() == 1
    assert result.min() >= 0


def test_an_untrained_denoiser_keeps_chroma_too(photographs: Tensor, denoiser: Denoiser) -> None:
    with torch.no_grad():
        luminance = denoiser(photographs, torch.zeros(2, 1, SIDE, SIDE))
        result = behind(denoiser).denoised(photographs)
    assert luminance.shape == (2, 1, SIDE, SIDE)
    kept = ((result > 0) & (result < 1)).all(dim=1)
    assert kept.float().mean() > 0.1
    before, after = to_ycbcr(photographs)[:, 1:], to_ycbcr(result)[:, 1:]
    difference = (before - after).abs().amax(dim=1)[kept]
    assert difference.max() < 1e-6


def test_two_runs_agree_and_images_do_not_depend_on_each_other(
    photographs: Tensor, denoiser: Denoiser
) -> None:
    both = behind(denoiser)
    with torch.no_grad():
        first = both(photographs)
        torch.testing.assert_close(behind(denoiser)(photographs), first, rtol=0, atol=0)
        apart = torch.cat([both(photographs[:1]), both(photographs[1:])])
    torch.testing.assert_close(apart, first, rtol=0, atol=1e-5)


def test_gradients_reach_the_images(photographs: Tensor, denoiser: Denoiser) -> None:
    images = (0.3 + 0.3 * photographs[:1]).requires_grad_(True)
    behind(denoiser)(images).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_the_noise_is_added_to_luminance_within_its_bound(photographs: Tensor, denoiser: Denoiser) -> None:
    seen: list[Tensor] = []
    hook = denoiser.start.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        for noise in (torch.zeros(2, 1, SIDE, SIDE), torch.ones(2, 1, SIDE, SIDE)):
            denoiser(photographs, noise)
    hook.remove()
    without, most = seen
    assert without.shape == (2, 784, 8, 8)
    torch.testing.assert_close(without.flatten(), to_ycbcr(photographs)[:, 0].flatten())
    torch.testing.assert_close(most, (without + NOISE).clamp(0, 1))


def test_the_encoder_is_a_resnet_18_s_four_stages(photographs: Tensor) -> None:
    torch.manual_seed(1)
    whole = resnet18(weights=None).eval()
    denoiser = Denoiser().eval()
    fit_weights(denoiser.encoder, encoder_weights(whole.state_dict()), "the encoder")
    maps = whole.maxpool(whole.relu(whole.bn1(whole.conv1(photographs))))
    ours = photographs
    with torch.no_grad():
        for number, stage in enumerate(denoiser.encoder, start=1):
            ours = stage(ours)
            maps = getattr(whole, f"layer{number}")(maps)
            torch.testing.assert_close(ours, maps)


def test_a_few_steps_of_training_help_and_leave_the_encoder_alone(photographs: Tensor) -> None:
    torch.manual_seed(0)
    denoiser = Denoiser().train()
    frozen = {name: tensor.clone() for name, tensor in denoiser.encoder.state_dict().items()}
    attacked = (photographs + 0.03 * torch.randn_like(photographs).sign()).clamp(0, 1)
    target = to_ycbcr(photographs)[:, :1]
    trained = [p for p in denoiser.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    losses = []
    for _ in range(4):
        loss = (denoiser(attacked, torch.rand(2, 1, SIDE, SIDE)) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trained)
    for name, tensor in denoiser.encoder.state_dict().items():
        torch.testing.assert_close(tensor, frozen[name], rtol=0, atol=0)


def test_weights_come_back_from_a_file(tmp_path: Path, photographs: Tensor, denoiser: Denoiser) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in denoiser.state_dict().items()}
    save_file({name: t.contiguous() for name, t in half.items()}, tmp_path / DENOISER)
    made = defended("resupnet", nn.Flatten(), seed=0, weights=tmp_path)
    assert isinstance(made, ResUpNet)
    assert not made.training
    assert all(tensor.dtype != torch.half for tensor in made.state_dict().values())
    with torch.no_grad():
        torch.testing.assert_close(made(photographs), behind(denoiser)(photographs), rtol=0, atol=0.02)


def test_absent_weights_are_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    expected = (
        f"expected ResUpNet's weights in {tmp_path / DENOISER}; make them: python -m simdnn.training.resupnet"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(expected)}$"):
        defended("resupnet", nn.Flatten(), seed=0, weights=tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / DENOISER
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(
        WeightsError, match=f"expected the weights of a Denoiser .* in {re.escape(str(path))}"
    ):
        load_denoiser(path)


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 32, 32)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=re.escape(f"expected images of shape (N, 3, H, W), got {shape}")):
        behind(Brighter())(torch.zeros(shape))


def test_defences_have_names(tmp_path: Path) -> None:
    assert DEFENCES == ("bart", "resupnet")
    assert isinstance(defended("bart", nn.Identity(), seed=0, weights=tmp_path), BaRT)
    with pytest.raises(InputError, match=r"^expected a defence among bart, resupnet; got 'Bart'$"):
        defended("Bart", nn.Identity(), seed=0, weights=tmp_path)
