"""A classifier and its guard as one module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import simdnn
from simdnn.digits import read_digits
from simdnn.errors import InputError, WeightsError
from simdnn.guard.guard import Guard
from simdnn.networks.digits import DigitsNet


@pytest.fixture
def classifier(digits: Path) -> DigitsNet:
    network = DigitsNet()
    network.load_state_dict(load_file(digits / "weights.safetensors"))
    return network.eval()


def test_logits_are_unchanged_and_verdicts_beside_them(digits: Path, classifier: DigitsNet) -> None:
    _, images, _ = read_digits(digits / "test")
    images = torch.cat([images[:8], 1 - images[:2]])
    guarded = simdnn.guard_module(classifier, digits / "guard.simdnn")
    logits, verdicts = guarded(images)
    assert logits.equal(classifier(images))
    trusted = Guard.load(digits / "guard.simdnn", trust=["simdnn.networks.digits:digits_network"])
    assert [v.verdict for v in verdicts] == [v.verdict for v in trusted.check_tensors(images)]
    assert verdicts[-1].verdict == "attack"


def test_gradients_flow_through_the_logits(digits: Path, classifier: DigitsNet) -> None:
    guarded = simdnn.guard_module(classifier, digits / "guard.simdnn")
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    guarded(images).logits.sum().backward()
    assert images.grad is not None


def test_the_guard_of_another_network_is_refused(digits: Path) -> None:
    with pytest.raises(WeightsError, match="protects a network with other weights"):
        simdnn.guard_module(DigitsNet().eval(), digits / "guard.simdnn")


def test_the_model_needs_no_file_of_weights(digits: Path, classifier: DigitsNet, tmp_path: Path) -> None:
    guard = Guard.load(digits / "guard.simdnn")
    gone = replace(guard.networks[0].spec, weights=str(tmp_path / "gone.safetensors"))
    guard.networks = (replace(guard.networks[0], spec=gone),)
    guard.save(tmp_path / "guard.simdnn")
    guarded = simdnn.guard_module(classifier, tmp_path / "guard.simdnn")
    assert len(guarded(torch.rand(2, 3, 32, 32)).verdicts) == 2


def test_images_of_another_size_are_refused(digits: Path, classifier: DigitsNet) -> None:
    guarded = simdnn.guard_module(classifier, digits / "guard.simdnn")
    with pytest.raises(InputError, match=r"expected images of shape \(N, 3, 32, 32\)"):
        guarded(torch.rand(1, 3, 31, 32))


def test_a_model_of_another_precision_is_the_guarded_one_too(digits: Path, classifier: DigitsNet) -> None:
    _, images, _ = read_digits(digits / "test")
    guarded = simdnn.guard_module(classifier.double(), digits / "guard.simdnn")
    assert [v.verdict for v in guarded(images[:4].double()).verdicts] == ["clean"] * 4
