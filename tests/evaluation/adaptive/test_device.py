"""Evaluations send their images to the guarded network's device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.attacks.adaptive.plane import Plane
from tests.attacks.networks import SHAPE, ImagesReceived, NetworkOnMeta
from tests.evaluation.adaptive.examples import CLEAN as PLANE_IMAGES
from torch import Tensor, nn

from simdnn.attacks import FGSM
from simdnn.attacks.adaptive import GuardedOutput
from simdnn.evaluation.adaptive.black_box import (
    decision_cost,
    library_attack,
    transfer_attack,
)
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.minimum_norm_cost import minimum_norm_cost
from simdnn.evaluation.adaptive.rejection import DecisionModel
from simdnn.evaluation.adaptive.robust_accuracy import robust_accuracy
from simdnn.evaluation.adaptive.scoring import predict_and_score
from simdnn.evaluation.adaptive.symptoms import symptoms
from simdnn.networks.device import device_of

IMAGES = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(2).long()
CLEAN = EvaluationImages(IMAGES, LABELS, IMAGES, LABELS)
THRESHOLDS = {"5 %": 0.0}


class NetworkOnCPU(nn.Module):
    """A source network on the CPU."""

    def forward(self, images: Tensor) -> Tensor:
        return Plane()(images).logits


@pytest.mark.parametrize(
    "call",
    [
        lambda: predict_and_score(NetworkOnMeta(), IMAGES),
        lambda: robust_accuracy(NetworkOnMeta(), CLEAN, THRESHOLDS, eps=0.1),
        lambda: minimum_norm_cost(NetworkOnMeta(), NetworkOnMeta(), CLEAN, 0.0),
        lambda: symptoms(NetworkOnMeta(), CLEAN, 0.0, 0.1),
        lambda: decision_cost(NetworkOnMeta(), NetworkOnMeta(), CLEAN, 0.0),
        lambda: transfer_attack(NetworkOnMeta(), CLEAN, NetworkOnCPU().eval(), FGSM(0.1), THRESHOLDS),
        lambda: library_attack(NetworkOnMeta(), CLEAN, FGSM(0.1), THRESHOLDS),
    ],
)
def test_images_are_sent_there(call: Callable[[], object]) -> None:
    with pytest.raises(ImagesReceived):
        call()


def test_a_decision_model_is_where_its_network_is() -> None:
    assert device_of(DecisionModel(NetworkOnMeta(), 0.0, 0)).type == "meta"


class OnGPU(nn.Module):
    """The plane network on a GPU, which refuses images from elsewhere."""

    threshold = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros(1, device="cuda"))
        self.eval()

    def forward(self, images: Tensor, output: Tensor | None = None) -> GuardedOutput:
        assert images.is_cuda
        return Plane()(images, output)

    def target_logits(self, images: Tensor) -> Tensor:
        found: GuardedOutput = self(images)
        return found.logits

    def deployed(self, images: Tensor) -> GuardedOutput:
        found: GuardedOutput = self(images)
        return found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_on_a_gpu_gives_what_it_gives_on_the_cpu() -> None:
    for expected, found in (
        (
            robust_accuracy(model, PLANE_IMAGES, THRESHOLDS, eps=0.35, steps=60)["robust_accuracy"]
            for model in (Plane(), OnGPU())
        ),
        (symptoms(model, PLANE_IMAGES, 0.0, 0.15) for model in (Plane(), OnGPU())),
    ):
        assert found == expected
    cost = minimum_norm_cost(OnGPU(), OnGPU(), PLANE_IMAGES, 0.0, steps=300)
    assert cost["network"] == pytest.approx(0.1, rel=0.08)
    assert decision_cost(OnGPU(), OnGPU(), PLANE_IMAGES, 0.0)["n"] == 2
