"""The training loop: one-cycle schedule, gradient clipping, running average of the weights, exact resuming."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from simdnn.errors import InputError
from simdnn.progress import Progress
from simdnn.training.checkpoint import read_checkpoint, write_checkpoint

Loss = Callable[[nn.Module, Tensor], Tensor]
"""From the network, in training mode, and indices (n,) of the data to a scalar."""


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of a training.

    Attributes
    ----------
    epochs : passes over the data
    batch_size : rows per step; an incomplete last batch of an epoch is dropped
    rate : the largest learning rate of the cycle
    optimizer : ``"sgd"``, with Nesterov momentum 0.9, or ``"adamw"``
    weight_decay : weight decay of the optimizer
    clip : largest L2 norm of the gradient of all parameters
    average : decay of the running average of the weights; smaller in the first steps
    seed : seed of the order and of the random numbers of the loss

    Raises
    ------
    InputError
        If there are no epochs, batches of fewer than two rows, or no learning rate above 0.
    """

    epochs: int
    batch_size: int
    rate: float
    optimizer: str = "sgd"
    weight_decay: float = 5e-4
    clip: float = 5.0
    average: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not self.rate > 0:
            raise InputError(
                "expected at least 1 epoch, batches of at least 2 and a learning rate above 0, got "
                f"{self.epochs}, {self.batch_size} and {self.rate}"
            )


class Epoch(NamedTuple):
    """Result of an epoch: its number from 1, mean loss, seconds, and the network with the averaged weights."""

    number: int
    loss: float
    seconds: float
    network: nn.Module


def train(
    network: nn.Module,
    n: int,
    loss: Loss,
    settings: Settings,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> nn.Module:
    """Train a network; return it with the running average of its weights, in evaluation mode.

    Each epoch has its own seed, so that a run resumed from a checkpoint gives the same weights as an uninterrupted one,
    exactly so on a CPU. Matrix products are in bfloat16 where the processor supports it, but not for networks with
    depthwise convolutions on a CPU, which take twice as long then.

    Parameters
    ----------
    network
        Trained in place.
    n
        Number of rows of the data.
    loss
        Loss of a batch of rows.
    settings
        Hyperparameters.
    device
        Device to train on.
    checkpoint
        File that is written after every epoch, and from which the training resumes if it exists.
    identity
        Values for JSON that must be equal to those of a checkpoint to resume from it.
    progress
        Called after every step with the number of rows done and of all rows.
    on_epoch
        Called after every epoch, once its checkpoint is written.

    Raises
    ------
    InputError
        If the checkpoint belongs to another training, the loss is not finite, or there is no such optimizer.
    """
    batch_size = min(settings.batch_size, n)
    steps = n // batch_size
    network = network.to(device).train()
    mean = AveragedModel(network, avg_fn=_averaging(settings.average), use_buffers=True)
    optimizer = _optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=settings.epochs * steps
    )
    parts = {"network": network, "mean": mean, "optimizer": optimizer, "schedule": schedule}
    done = 0 if checkpoint is None else read_checkpoint(checkpoint, parts, identity or {})
    bfloat16 = has_bfloat16(device) and not (device.type == "cpu" and _is_depthwise(network))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for epoch in range(done, settings.epochs):
            torch.manual_seed(int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1)[0]))
            start, total = time.perf_counter(), torch.zeros((), device=device)
            network.train()
            order = torch.randperm(n)[: steps * batch_size]
            for step, rows in enumerate(torch.split(order, batch_size)):
                with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                    value = loss(network, rows)
                optimizer.zero_grad()
                torch.autograd.backward(value)
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
                optimizer.step()
                schedule.step()
                mean.update_parameters(network)
                total += value.detach()
                if progress is not None:
                    progress((epoch * steps + step + 1) * batch_size, settings.epochs * steps * batch_size)
            if not torch.isfinite(total):
                raise InputError(
                    f"the loss became {float(total)} in epoch {epoch + 1}; give a learning rate below {settings.rate}"
                )
            if checkpoint is not None:
                write_checkpoint(checkpoint, parts, identity or {}, epoch + 1)
            if on_epoch is not None:
                seconds = time.perf_counter() - start
                on_epoch(Epoch(epoch + 1, float(total) / steps, seconds, mean.module.eval()))
    network.load_state_dict(mean.module.state_dict())
    return network.eval()


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies matrices in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    is_supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # PyTorch 2.6 and later
    return device.type == "cpu" and bool(is_supported())


def _is_depthwise(network: nn.Module) -> bool:
    """Return whether some convolutions of a network have a group for each channel."""
    return any(
        isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1 for part in network.modules()
    )


def _averaging(largest_decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an average whose decay grows to ``largest_decay``, so that it soon forgets the initial weights."""

    def average(mean: Tensor, new: Tensor, n: Tensor | int) -> Tensor:
        if not mean.is_floating_point():  # batch norm's counter of batches
            return new
        decay = min(largest_decay, (1 + float(n)) / (10 + float(n)))
        return torch.lerp(mean, new, 1 - decay)

    return average


def _optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(trained, lr=settings.rate, weight_decay=settings.weight_decay, fused=True)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            trained,
            settings.rate,
            momentum=0.9,
            weight_decay=settings.weight_decay,
            nesterov=True,
            fused=True,
        )
    raise InputError(f"expected the optimizer 'sgd' or 'adamw', got {settings.optimizer!r}")
