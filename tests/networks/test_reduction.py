from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from simdnn.networks.reduction import reduced


def test_a_multiple_becomes_the_mean_over_its_pixels() -> None:
    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    found = reduced(images, 2)
    assert found.shape == (2, 3, 2, 2)
    for i in range(2):
        for j in range(2):
            block = images[:, :, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
            assert torch.allclose(found[:, :, i, j], block.mean(dim=(2, 3)))


@pytest.mark.parametrize(("side", "norm"), [(2, 1 / 3), (3, 1 / 2), (6, 1.0)])
def test_the_mean_over_k_x_k_pixels_has_norm_1_over_k(side: int, norm: float) -> None:
    impulses = torch.eye(36).view(36, 1, 6, 6)
    matrix = reduced(impulses, side).view(36, -1)
    assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize(("height", "width", "side"), [(7, 7, 3), (9, 6, 3), (5, 8, 4)])
def test_other_sizes_are_resized_as_pillow_does(height: int, width: int, side: int) -> None:
    image = torch.rand(height, width, generator=torch.Generator().manual_seed(1))
    expected = Image.fromarray(image.numpy()).resize((side, side), Image.Resampling.BILINEAR)
    found = reduced(image.view(1, 1, height, width), side).flatten()
    assert found.tolist() == pytest.approx(np.asarray(expected).ravel().tolist(), abs=1e-5)
