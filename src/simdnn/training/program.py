"""What the programs that train the benchmark's networks have in common: options, files, and the record of a result."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from simdnn.evaluation.intervals import rate
from simdnn.networks.weights import fit_weights, read_weights
from simdnn.training.loop import Epoch, Loss, Settings, train
from simdnn.training.record import write_record, write_weights


def training_options(
    description: str | None, *, output: str, side: int, epochs: int, batch_size: int, rate: float
) -> ArgumentParser:
    """Return a parser of the options that all have, with the defaults of one."""
    parser = argparse.ArgumentParser(description=description)
    data = os.environ.get("SIMDNN_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None)
    parser.add_argument("--network", required=True)
    parser.add_argument("--side", type=int, default=side)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--optimizer", default="sgd", help="sgd or adamw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(output))
    return parser


def settings_of(options: Namespace) -> Settings:
    """Return the settings of the training loop."""
    return Settings(options.epochs, options.batch_size, options.rate, options.optimizer, seed=options.seed)


def files_of(options: Namespace) -> tuple[Path, Path]:
    """Return the files of the weights and of the checkpoint, in a folder that exists then."""
    options.output.mkdir(parents=True, exist_ok=True)
    weights: Path = options.output / f"{options.network}.safetensors"
    return weights, weights.with_suffix(".checkpoint")


def train_on_cpu(
    network: nn.Module,
    n: int,
    loss: Loss,
    settings: Settings,
    checkpoint: Path,
    identity: Mapping[str, Any],
) -> nn.Module:
    """Train a network on ``n`` rows as :func:`simdnn.training.loop.train` does, and print each epoch's result.

    What identifies the training, besides ``n`` and the settings, is ``identity``.
    """
    return train(
        network,
        n,
        loss,
        settings,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        identity={"n": n, **identity, **asdict(settings)},
        on_epoch=print_epoch,
    )


def print_epoch(epoch: Epoch) -> None:
    """Print the result of an epoch."""
    print(f"epoch {epoch.number}: loss {epoch.loss:.3f}, {epoch.seconds:.0f} s", flush=True)


def keep(network: nn.Module, weights: Path, checkpoint: Path) -> None:
    """Write the weights in half precision, and load them again, so that what is measured is what was written."""
    write_weights(network, weights)
    checkpoint.unlink()
    fit_weights(network, read_weights(weights), str(weights))


def record_accuracy(weights: Path, options: Namespace, right: int, n: int, result: Mapping[str, Any]) -> None:
    """Record the accuracy, ``right`` of ``n`` images, with settings and further results, and print it."""
    accuracy = rate(right, n)
    facts = {"network": options.network, "side": options.side} | asdict(settings_of(options))
    record = write_record(weights, {"accuracy": accuracy._asdict(), "n": n} | dict(result) | facts)
    print(f"{options.network}: {accuracy.value:.1%} of {n} correct; wrote {weights} and {record}")
