from __future__ import annotations

import torch
from tests.training.small import small_network
from torch import nn

from simdnn.training.norms import are_folded, unfold_norms


def test_unfolding_keeps_the_function_and_gives_the_norms_statistics() -> None:
    network = small_network().eval()
    with torch.no_grad():
        network.norm.weight.copy_(torch.tensor([1.0, 2.0, -0.5, 0.1]))
        network.norm.bias.copy_(torch.tensor([0.0, 1.0, 0.5, -0.1]))
    assert are_folded(network)
    images = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(images)
    unfold_norms(network, images)
    assert not are_folded(network)
    assert torch.allclose(network(images), before, atol=1e-5)
    given = network.convolution(images)
    assert network.norm.running_mean is not None
    assert network.norm.running_var is not None
    assert torch.allclose(network.norm.running_mean, given.mean(dim=(0, 2, 3)), atol=1e-6)
    assert torch.allclose(network.norm.running_var, given.var(dim=(0, 2, 3)), atol=1e-6)
    # In training mode, on the same images, it is the same function, too: that is what training needs.
    assert torch.allclose(network.train()(images), before, atol=1e-2)


def test_a_network_without_batch_norms_is_not_folded() -> None:
    assert not are_folded(nn.Linear(2, 2))
