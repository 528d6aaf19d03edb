"""Baselines' scores with a gradient, against the baselines themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr
from tests.guard.networks import digits_backbone

from simdnn.attacks.adaptive import BaselineNetwork
from simdnn.digits import read_digits
from simdnn.evaluation.adaptive.baseline_scores import BASELINE_SCORES
from simdnn.evaluation.baselines.detector import find_detector
from simdnn.evaluation.baselines.inputs import baseline_input


@pytest.mark.parametrize("name", BASELINE_SCORES)
def test_scores_order_images_as_the_baselines_do_and_have_a_gradient(digits: Path, name: str) -> None:
    network = digits_backbone(digits)
    _, images, labels = read_digits(digits / "test")
    images, labels = images[::12], labels[::12]
    clean = baseline_input(network, images)
    baseline = find_detector(name)()
    baseline.fit(network, clean, labels.numpy())
    module = BaselineNetwork(network, BASELINE_SCORES[name](clean, labels.numpy()), 0.0)
    noisy = (images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    noisy.requires_grad_(True)
    output = module(noisy)
    expected = baseline.score(network, baseline_input(network, noisy.detach()))
    assert spearmanr(output.score.detach(), expected).statistic > 0.9999
    (gradient,) = torch.autograd.grad(output.score.sum(), noisy)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
