"""Convert another project's checkpoint to an auxiliary network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simdnn.errors import InputError, WeightsError
from simdnn.evaluation.intervals import Estimate
from simdnn.networks.auxiliary import AuxiliaryNetwork, AuxiliarySpec, untrained, write_auxiliary
from simdnn.networks.device import chosen_device
from simdnn.networks.layers import watch, watching
from simdnn.networks.loading import default_preprocess, imagenet_categories, last_layer
from simdnn.networks.spec import PENULTIMATE
from simdnn.networks.weights import fit_weights, hash_weights
from simdnn.progress import Progress
from simdnn.training.auxiliary import DRAWS, described
from simdnn.training.data import decode_images
from simdnn.training.foreign import Channels, Foreign, read_foreign
from simdnn.training.head import learn_head
from simdnn.training.parts import Parts, check_held_out

HELD_OUT = 0.2
"""Share of each class that measures the accuracy, and that a new last layer is not trained on."""

_BATCH = 64


@dataclass(frozen=True)
class Source:
    """A checkpoint, with the properties that the file does not hold.

    Attributes
    ----------
    checkpoint : the file, see `read_foreign`
    backbone : its architecture, a classification network of torchvision
    sigma : standard deviation of the noise that it was trained under, for pixels in [0, 1]; 0 for none
    side : height and width of the images that it takes, in pixels; None for that of torchvision's weights
    network_side : height and width to which the noisy image is enlarged for it; None to leave it
    mean, std : its normalisation, if the file has none; None for that of torchvision's weights
    trust_pickle : whether code in the file may run
    """

    checkpoint: Path
    backbone: str = "resnet18"
    sigma: float = 0.0
    side: int | None = None
    network_side: int | None = None
    mean: Channels | None = None
    std: Channels | None = None
    trust_pickle: bool = False


class Imported(NamedTuple):
    """Result of an import.

    Attributes
    ----------
    accuracy : accuracy of the majority vote on the images held out; None without images
    own_outputs : whether the checkpoint's last layer was kept
    learned, held_out : numbers of images that a new last layer was trained on, and that were held out
    unreadable : files that were skipped, each with the reason
    """

    accuracy: Estimate | None
    own_outputs: bool
    learned: int
    held_out: int
    unreadable: tuple[str, ...]


def import_auxiliary(
    source: Source,
    output: Path,
    classes: Path | None = None,
    *,
    device: str | None = None,
    seed: int = 0,
    decoding: Progress | None = None,
) -> Imported:
    """Convert a checkpoint to an auxiliary network, and write it.

    If images are given and their number of classes is that of the checkpoint's outputs, the outputs are assumed to be
    these classes, sorted by name; the accuracy on held-out images must confirm it. Otherwise the network gets a new
    last layer, trained in one pass over the images with noise. Without images, it must have ImageNet's 1000 outputs.

    The images that the checkpoint was trained on are unknown: only those of a new last layer are recorded.

    Parameters
    ----------
    source
        The checkpoint.
    output
        The file to write, for `read_auxiliary`.
    classes
        Images: a folder with one subfolder per class, or a CSV file.
    device
        Device of the network; None for a GPU if there is one.
    seed
        Seed of the noise and of the images held out.
    decoding
        Progress of decoding the images.

    Raises
    ------
    InputError
        If the classes of the outputs are unknown, or the accuracy on the images is below one half.
    WeightsError
        If the checkpoint cannot be read, or does not fit the backbone.
    """
    place = chosen_device(device)
    names = None if classes is None else check_held_out(classes, HELD_OUT, seed)
    foreign = read_foreign(source.checkpoint, trust_pickle=source.trust_pickle)
    network = _network(source, foreign)
    facts: dict[str, Any] = {
        "imported": source.checkpoint.name,
        "start_sha256": hash_weights(network.network),
    }
    if classes is None or names is None:
        network = AuxiliaryNetwork(network.network, replace(network.spec, classes=_imagenet(source, network)))
        write_auxiliary(output, described(network, [], facts))
        return Imported(None, True, 0, 0, ())
    with TemporaryDirectory() as folder:
        images = decode_images(classes, network.spec.side, Path(folder) / "images.npy", progress=decoding)
        parts = Parts.of(images, HELD_OUT, seed, network.spec.side, place)
        own_outputs = len(names) == len(network.spec.classes)
        if not own_outputs:
            learn_head(
                network.network, _features(network.to(place), parts, seed), images.labels[parts.learned]
            )
        network = AuxiliaryNetwork(network.network, replace(network.spec, classes=names)).to(place).eval()
        accuracy = parts.accuracy(network, network.spec.sigma, DRAWS if network.spec.sigma else 1)
    if own_outputs and accuracy.value < 0.5:
        raise InputError(
            f"{source.checkpoint} has as many outputs as {classes} has classes, but is right on only "
            f"{accuracy.value:.0%} of their images: its outputs are other classes or in another order, or --sigma, "
            "--size or --mean and --std are not its own"
        )
    hashes = [] if own_outputs else parts.hashes
    facts |= {"n_learned": len(hashes), "n_held_out": len(parts.held), "vote_accuracy": accuracy._asdict()}
    write_auxiliary(output, described(network, hashes, facts))
    return Imported(accuracy, own_outputs, len(hashes), len(parts.held), images.unreadable)


def _network(source: Source, foreign: Foreign) -> AuxiliaryNetwork:
    """Load the tensors into the backbone; its classes are numbers until their names are known."""
    if foreign.mean is not None and (source.mean or source.std):
        raise InputError(
            f"{source.checkpoint} has a normalisation of its own, mean {foreign.mean} and std {foreign.std}; "
            "leave --mean and --std away"
        )
    head = foreign.state.get(f"{last_layer(untrained(source.backbone, 2))}.bias")
    if head is None:
        raise WeightsError(
            f"expected the weights of a {source.backbone} in {source.checkpoint}, got a file without its last layer; "
            "check --backbone"
        )
    network = untrained(source.backbone, len(head))
    fit_weights(network, foreign.state, str(source.checkpoint))
    default = default_preprocess(source.backbone)
    spec = AuxiliarySpec(
        architecture=source.backbone,
        side=source.side or default.size[0],
        network_side=source.network_side,
        sigma=source.sigma,
        classes=tuple(str(number) for number in range(len(head))),
        mean=foreign.mean or source.mean or default.mean,
        std=foreign.std or source.std or default.std,
    )
    return AuxiliaryNetwork(network, spec).eval()


def _imagenet(source: Source, network: AuxiliaryNetwork) -> tuple[str, ...]:
    """Return ImageNet's names of the outputs; InputError if their number is different."""
    n, names = len(network.spec.classes), imagenet_categories(source.backbone)
    if n != len(names):
        raise InputError(
            f"{source.checkpoint} has {n} outputs and does not say which classes they are; give images of them: "
            "--classes FOLDER_OR_CSV"
        )
    return names


@torch.no_grad()
def _features(network: AuxiliaryNetwork, parts: Parts, seed: int) -> Tensor:
    """Return the last layer's input for one noisy draw of each training image: (N, d), on the CPU."""
    watch(network.network, [PENULTIMATE])
    generator = torch.Generator(parts.device).manual_seed(seed)
    rows: list[Tensor] = []
    for start in range(0, len(parts.learned), _BATCH):
        images = parts.whole(parts.learned[start : start + _BATCH])
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        with watching() as features:
            network(images + network.spec.sigma * noise)
        rows.append(features[PENULTIMATE].cpu())
    return torch.cat(rows)
