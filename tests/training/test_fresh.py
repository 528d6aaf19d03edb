from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from simdnn.training.fresh import fresh_network


def test_with_a_bias_of_norms_the_gradient_of_a_deep_network_without_skip_connections_stays_small() -> None:
    images = torch.rand(8, 3, 80, 80, generator=torch.Generator().manual_seed(0))

    def first_over_last(norm_bias: float) -> float:
        network = fresh_network("inception_v3", 10, seed=0, norm_bias=norm_bias).train()
        loss = cross_entropy(network(images), torch.arange(8))
        weights = [value for name, value in network.named_parameters() if name.endswith("conv.weight")]
        first, last = torch.autograd.grad(loss, [weights[0], weights[-1]])
        return float(first.norm() / last.norm())

    assert first_over_last(0.0) > 40
    assert first_over_last(1.0) < 10
