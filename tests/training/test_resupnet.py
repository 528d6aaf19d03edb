from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.small import write_stripes
from torch import Tensor, nn

from simdnn.evaluation.defences.resupnet import SIDE, Denoiser, to_ycbcr
from simdnn.networks.auxiliary import untrained
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.classifier import Classifier
from simdnn.training import resupnet
from simdnn.training.data import DecodedImages, decode_images


class Given(Denoiser):
    """Gives the luminance of these images, whatever it is shown."""

    def __init__(self, images: Tensor) -> None:
        nn.Module.__init__(self)
        self.images = images

    def encoded(self, shown: Tensor, noise: Tensor) -> tuple[Tensor, list[Tensor]]:
        assert noise.shape == (len(shown), 1, SIDE, SIDE)
        return to_ycbcr(self.images)[:, :1], [self.images]

    def decoded(self, maps: Tensor, skips: Sequence[Tensor]) -> Tensor:
        assert torch.equal(to_ycbcr(skips[0])[:, :1], maps)
        assert maps.shape[-2:] == (96, 96)
        return maps


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return load_backbone("small", network=untrained("shufflenet_v2_x0_5", 2).eval(), size=SIDE)


@pytest.fixture
def images(tmp_path: Path) -> DecodedImages:
    return decode_images(write_stripes(tmp_path / "stripes", per_class=4), 32, tmp_path / "images.npy")


def test_the_loss_is_the_error_of_luminance_and_features(backbone: Backbone, images: DecodedImages) -> None:
    clean = resupnet.large(images, np.array([0, 5]))
    assert clean.shape == (2, 3, SIDE, SIDE)
    perfect = resupnet.restoration_loss(Given(clean), backbone, clean, clean)
    assert perfect.item() == pytest.approx(0, abs=1e-6)
    brighter = (clean + 0.1).clamp(0, 1)
    found = resupnet.restoration_loss(Given(brighter), backbone, clean, clean).item()
    luminance = (to_ycbcr(brighter) - to_ycbcr(clean))[:, 0].abs().mean().item()
    assert found > luminance + 1e-4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resupnet, "FEATURES", 0.0)
        assert resupnet.restoration_loss(Given(brighter), backbone, clean, clean).item() == pytest.approx(
            luminance, abs=1e-6
        )


def test_photographs_are_attacked_once(
    backbone: Backbone, images: DecodedImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, network = np.array([6, 1, 3, 0, 2, 4]), Classifier(backbone)
    made = resupnet.attacked_images(network, images, rows, tmp_path, seed=0)
    assert "attacked 6" in capsys.readouterr().out
    for row, (attack, before) in enumerate(zip(resupnet.ATTACKS, resupnet.large(images, rows), strict=True)):
        change = (torch.from_numpy(made[row].copy()).float() / 255 - before).abs().max().item()
        assert 0 < change <= attack.eps + 0.5 / 255 + 1e-6
    again = resupnet.attacked_images(network, images, rows, tmp_path, seed=0)
    assert np.array_equal(again, made)
    assert capsys.readouterr().out == ""
    others = resupnet.attacked_images(network, images, rows[::-1], tmp_path, seed=0)
    assert "attacked 6 of 6" in capsys.readouterr().out
    assert not np.array_equal(others, made)
