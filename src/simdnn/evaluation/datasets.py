"""Load datasets of labelled images in two parts: clean images to fit on, and test images."""

from __future__ import annotations

import csv
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from simdnn.digits import train_network, write_digits
from simdnn.errors import InputError
from simdnn.evaluation.plan import DatasetPlan
from simdnn.images.files import labelled_images

TORCHVISION = ("CIFAR10", "Imagenette", "ImageNet")
"""Datasets of torchvision that plans can name."""

UNPACKED = ".unpacked"
"""File in the folder of an archive that was unpacked whole: the archive's path."""


@dataclass(frozen=True)
class Part:
    """Image files and their labels, in the same order."""

    paths: list[Path]
    labels: list[str]

    @property
    def hash(self) -> str:
        """SHA-256, in hexadecimal, over all labels and the contents of all files."""
        digest = sha256()
        for path, label in zip(self.paths, self.labels, strict=True):
            digest.update(label.encode() + b"\0" + sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def write(self, path: Path) -> Path:
        """Write a CSV file of paths and labels, for ``simdnn fit``; return its path."""
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [
                    ("path", "label"),
                    *((p.absolute(), x) for p, x in zip(self.paths, self.labels, strict=True)),
                ]
            )
        return path


@dataclass(frozen=True)
class Dataset:
    """The two parts of a dataset.

    Attributes
    ----------
    fit, test : the parts
    classes : labels in sorted order
    outputs : the network's output for each label
    folder : folder of an unpacked archive or of the digits, or None
    """

    fit: Part
    test: Part
    classes: tuple[str, ...]
    outputs: dict[str, int]
    folder: Path | None = None


def load_dataset(name: str, plan: DatasetPlan, base: Path, cache: Path, seed: int) -> Dataset:
    """Load a dataset; it is unpacked or downloaded first if necessary.

    Parameters
    ----------
    name, plan : name and settings of the dataset
    base : folder at which relative paths start
    cache : folder for files that are unpacked, written or trained
    seed : seed of the sample, if only some of the images are used

    Raises
    ------
    InputError
        If the images cannot be found, or a setting does not fit them.
    """
    fit, test, folder = _parts(name, plan, base, cache)
    classes = tuple(sorted(set(fit.labels)))
    unknown = sorted(set(test.labels) - set(classes))
    if unknown:
        raise InputError(f"dataset {name}: {', '.join(unknown)} occurs among the test images only")
    missing = sorted(set(classes) - set(plan.outputs)) if plan.outputs else []
    if missing:
        raise InputError(f"dataset {name}: 'outputs' lacks the classes {', '.join(missing)}")
    return Dataset(
        fit=_sample(fit, plan.fit_images, seed),
        test=_sample(test, plan.test_images, seed),
        classes=classes,
        outputs=plan.outputs or {label: i for i, label in enumerate(classes)},
        folder=folder,
    )


def _parts(name: str, plan: DatasetPlan, base: Path, cache: Path) -> tuple[Part, Part, Path | None]:
    if plan.builtin:
        return _digits(plan.builtin, cache)
    if plan.torchvision:
        return _torchvision(plan, base, cache)
    if not plan.fit or not plan.test:
        raise InputError(f"dataset {name} needs the folders 'fit' and 'test', or another source")
    if "$" in (paths := f"{plan.archive} {plan.fit} {plan.test}"):
        unset = " and ".join(sorted(Template(paths).get_identifiers())) or "$"
        raise InputError(
            f"dataset {name} needs the environment variable {unset}, which is not set; "
            "set it to the folder of the data"
        )
    folder = _unpacked(base / plan.archive, cache) if plan.archive else base
    fit, test = (Part(*labelled_images(folder / part)) for part in (plan.fit, plan.test))
    return fit, test, folder if plan.archive else None


def _digits(builtin: str, cache: Path) -> tuple[Part, Part, Path]:
    if builtin != "digits":
        raise InputError(f"expected builtin = 'digits', got {builtin!r}")
    folder = cache / "digits"
    weights = folder / "weights.safetensors"
    if not weights.exists():
        write_digits(folder)
        train_network(folder / "network", weights)
    return Part(*labelled_images(folder / "train")), Part(*labelled_images(folder / "test")), folder


def _unpacked(archive: Path, cache: Path) -> Path:
    """Unpack an archive once, and return its folder; if interrupted, it starts again."""
    if not archive.exists():
        raise InputError(f"expected an archive, got {archive}, which does not exist")
    source, name = str(archive.resolve()), archive.name.partition(".")[0]
    if _is_unpacked(source, cache / name):  # by an earlier version, which went by the name alone
        return cache / name
    folder = cache / f"{name}-{sha256(source.encode()).hexdigest()[:8]}"
    if not _is_unpacked(source, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (folder / UNPACKED).write_text(source, encoding="utf-8")
    return folder


def _is_unpacked(source: str, folder: Path) -> bool:
    """Say whether a folder has all of an archive; one that does not say of which is taken, once, for this one's."""
    done = folder / UNPACKED
    if not done.exists():
        return False
    if not done.stat().st_size:
        done.write_text(source, encoding="utf-8")
    return done.read_text(encoding="utf-8") == source


def _torchvision(plan: DatasetPlan, base: Path, cache: Path) -> tuple[Part, Part, Path | None]:
    from torchvision import datasets

    if plan.torchvision not in TORCHVISION:
        raise InputError(f"expected torchvision = one of {', '.join(TORCHVISION)}; got {plan.torchvision!r}")
    root = base / plan.root
    try:
        if plan.torchvision == "CIFAR10":
            parts = [datasets.CIFAR10(root, train=train, download=True) for train in (True, False)]
            train, test = parts
            folder = cache / "CIFAR10"
            return _part_in_memory(train, folder / "train"), _part_in_memory(test, folder / "test"), None
        if plan.torchvision == "Imagenette":
            parts = [datasets.Imagenette(root, split, "160px", download=True) for split in ("train", "val")]
        else:
            parts = [datasets.ImageNet(root, split) for split in ("train", "val")]
    except (RuntimeError, OSError) as error:
        raise InputError(f"torchvision's {plan.torchvision} cannot be loaded from {root}: {error}") from error
    train, test = parts
    return _part_of_files(train), _part_of_files(test), None


def _part_of_files(dataset: Any) -> Part:
    """Return the files of a dataset that torchvision reads from class folders."""
    samples = dataset._samples if hasattr(dataset, "_samples") else dataset.samples
    names = getattr(dataset, "wnids", dataset.classes)
    return Part([Path(path) for path, _ in samples], [str(names[label]) for _, label in samples])


def _part_in_memory(dataset: Any, folder: Path) -> Part:
    """Write the images of a dataset that torchvision holds in memory to files."""
    for i, (picture, label) in enumerate(dataset):
        path = folder / dataset.classes[label] / f"{i:05}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    return Part(*labelled_images(folder))


def _sample(part: Part, images: int, seed: int) -> Part:
    """Draw a sample of at most ``images`` images of a part, as equal as can be over the classes; 0 for all."""
    if not images or images >= len(part.paths):
        return part
    labels = np.array(part.labels)
    classes = np.unique(labels)
    each, left = divmod(images, len(classes))
    draw = np.random.default_rng(seed)
    chosen = np.sort(
        np.concatenate(
            [
                draw.permutation(np.flatnonzero(labels == label))[: each + (i < left)]
                for i, label in enumerate(classes)
            ]
        )
    )
    return Part([part.paths[i] for i in chosen], [part.labels[i] for i in chosen])
