"""Train an auxiliary network on labelled images with Gaussian noise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from simdnn.evaluation.intervals import Estimate
from simdnn.evaluation.provenance import commit
from simdnn.networks.auxiliary import AuxiliaryNetwork, AuxiliarySpec, write_auxiliary
from simdnn.networks.device import chosen_device
from simdnn.networks.loading import torchvision_network
from simdnn.networks.weights import hash_weights
from simdnn.progress import Progress
from simdnn.training.data import decode_images
from simdnn.training.head import replace_head
from simdnn.training.loop import Epoch, train
from simdnn.training.losses import DISTILLATION, LOSSES, NoiseLoss, distillation_loss
from simdnn.training.norms import are_folded, unfold_norms
from simdnn.training.parts import Parts, check_held_out
from simdnn.training.plan import Plan

DRAWS = 25
"""Number of noisy draws of each held-out image in the final accuracy of the majority vote."""

_UNFOLDING = 500  # images for the statistics of folded batch norms


class Trained(NamedTuple):
    """Result: accuracy of the majority vote, numbers of images trained on and held out, and unreadable files."""

    accuracy: Estimate
    learned: int
    held_out: int
    unreadable: tuple[str, ...]


class EpochReport(NamedTuple):
    """An epoch's number, mean loss and seconds, and the accuracy on one noisy draw of each held-out image."""

    epoch: int
    loss: float
    seconds: float
    accuracy: float


def train_auxiliary(
    data: Path,
    output: Path,
    plan: Plan,
    *,
    device: str | None = None,
    decoding: Progress | None = None,
    training: Progress | None = None,
    measuring: Progress | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Trained:
    """Train an auxiliary network and write it; after an interruption, the same call resumes.

    Until the output is written, a checkpoint and the decoded images are kept beside it.

    Parameters
    ----------
    data
        Folder with one subfolder of images per class, or a CSV file.
    output
        The file to write, for `read_auxiliary`.
    plan
        Settings.
    device
        Device to train on; None for a GPU if there is one.
    decoding, training, measuring
        Progress of decoding the images, of the training, and of measuring the accuracy of the majority vote.
    on_epoch
        Called after every epoch.

    Raises
    ------
    InputError
        If the data cannot be used, the device is not available, or the checkpoint belongs to another training.
    WeightsError
        If the initial weights cannot be read or do not fit.
    """
    place = chosen_device(device)
    network = _initial(plan, check_held_out(data, plan.held_out, plan.settings.seed)).to(place)
    loss: NoiseLoss = LOSSES[plan.loss]
    if plan.loss == DISTILLATION:
        loss = partial(distillation_loss, teacher=deepcopy(network).eval().requires_grad_(False))
    _give_head(network, plan.settings.seed)
    store = output.with_name(output.name + ".images.npy")
    checkpoint = output.with_name(output.name + ".checkpoint")
    # Larger than the network's input, for random crops.
    images = decode_images(data, round(plan.side * 8 / 7), store, progress=decoding)
    parts = Parts.of(images, plan.held_out, plan.settings.seed, plan.side, place)
    facts = {
        **plan.described(),
        "start_sha256": hash_weights(network.network),
        "images_sha256": parts.digest,
    }
    if are_folded(network.network):
        rows = np.random.default_rng(plan.settings.seed).permutation(parts.learned)[:_UNFOLDING]
        unfold_norms(network, parts.whole(rows))
    targets = torch.from_numpy(images.labels[parts.learned]).to(place)

    def batch_loss(trained: nn.Module, rows: Tensor) -> Tensor:
        return loss(trained, parts.random(rows.numpy()), targets[rows.to(place)], plan.sigma)

    def report(epoch: Epoch) -> None:
        if on_epoch is not None:
            accuracy = parts.accuracy(epoch.network, plan.sigma, draws=1).value
            on_epoch(EpochReport(epoch.number, epoch.loss, epoch.seconds, accuracy))

    train(
        network,
        len(parts.learned),
        batch_loss,
        plan.settings,
        device=place,
        checkpoint=checkpoint,
        identity=facts,
        progress=training,
        on_epoch=report,
    )
    accuracy = parts.accuracy(network, plan.sigma, DRAWS, measuring)
    facts |= {"data": data.name, "n_learned": len(parts.learned), "n_held_out": len(parts.held)}
    facts |= {"vote_accuracy": accuracy._asdict(), "vote_draws": DRAWS}
    write_auxiliary(output, described(network, parts.hashes, facts))
    for file in (checkpoint, store, store.with_suffix(".json")):
        file.unlink(missing_ok=True)
    return Trained(accuracy, len(parts.learned), len(parts.held), images.unreadable)


def described(network: AuxiliaryNetwork, hashes: Sequence[str], facts: Mapping[str, Any]) -> AuxiliaryNetwork:
    """Return the network with a specification that holds the training files' hashes, the facts, time and versions."""
    provenance = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__)),
        "versions": {name: version(name) for name in ("simdnn", "torch", "torchvision")},
    }
    plain = json.loads(json.dumps({**facts, **provenance}))
    spec = replace(network.spec, learned=tuple(sorted(set(hashes))), training=plain)
    return AuxiliaryNetwork(network.network, spec)


def _initial(plan: Plan, classes: tuple[str, ...]) -> AuxiliaryNetwork:
    """Return the network that the training starts from, with all its own outputs."""
    spec = AuxiliarySpec(
        architecture=plan.backbone,
        side=plan.side,
        network_side=plan.network_side,
        sigma=plan.sigma,
        classes=classes,
        **plan.normalisation,
    )
    return AuxiliaryNetwork(torchvision_network(plan.backbone, plan.start_weights), spec)


def _give_head(network: AuxiliaryNetwork, seed: int) -> None:
    """Give a network an untrained last layer, unless it has an output for each class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        replace_head(network.network, len(network.spec.classes))
    network.to(network.mean.device)
