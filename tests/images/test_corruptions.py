"""Harmless changes are small, stay 8-bit images, and are the same for the same seed."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest
from sklearn.datasets import load_sample_images
from torch import Generator, Tensor

from simdnn.images.corruptions import CONTROLS, corrupt


def photograph() -> Tensor:
    image = load_sample_images().images[1][100:324, 200:424]
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("name", list(CONTROLS))
def test_change_is_harmless(name: str) -> None:
    image = photograph()
    changed = corrupt(name, image, Generator().manual_seed(0))
    assert changed.shape == image.shape
    assert changed.dtype == torch.float32
    assert not torch.equal(changed, image)
    assert torch.equal((changed * 255).round() / 255, changed)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(changed, corrupt(name, image, Generator().manual_seed(0)))
    if name != "cropped":
        assert (changed - image).abs().mean() < 0.1


@pytest.mark.parametrize("eps", [0.01, 0.02, 0.04])
def test_noise_is_as_large_as_it_says(eps: float) -> None:
    image = torch.full((3, 32, 32), 0.5)
    change = (corrupt(f"noise {eps}", image, Generator().manual_seed(0)) - image).abs()
    assert eps / 2 < change.max() <= eps + 0.5 / 255


@pytest.mark.parametrize("levels", [3, 5, 10])
def test_sign_noise_changes_every_value_by_its_size_up_or_down(levels: int) -> None:
    image = torch.full((3, 64, 64), 128 / 255)
    change = 255 * (corrupt(f"sign noise {levels}/255", image, Generator().manual_seed(0)) - image)
    assert set(change.round().flatten().tolist()) == {-levels, levels}
    raised = int((change > 0).sum())
    assert binomtest(raised, change.numel()).pvalue > 1e-4
