"""One network of a plan with its dataset: makes its columns, fits its methods and measures its cells."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from simdnn.attacks import predict
from simdnn.errors import SimDNNError
from simdnn.evaluation.baselines.inputs import baseline_input, middle_layers
from simdnn.evaluation.columns import ColumnImages, Columns
from simdnn.evaluation.datasets import Dataset, Part, load_dataset
from simdnn.evaluation.defences import Averaged, defended, hash_defences
from simdnn.evaluation.freshness import method_version
from simdnn.evaluation.load_network import load_network
from simdnn.evaluation.method_setup import Method, MethodSetup, TestImages
from simdnn.evaluation.methods import asks_auxiliary, find_method
from simdnn.evaluation.metrics import MethodOutput, measure
from simdnn.evaluation.plan import Column, NetworkPlan, Plan
from simdnn.evaluation.records import Record, cell_key
from simdnn.images.reading import read_image
from simdnn.networks.auxiliary import read_auxiliary
from simdnn.networks.backbone import Backbone
from simdnn.networks.cache import FeatureCache
from simdnn.networks.classifier import Classifier
from simdnn.networks.device import default_device
from simdnn.networks.extractor import Extractor
from simdnn.progress import Progress

ProgressBars = Callable[[str], AbstractContextManager[Progress]]
"""Called with a title; a context that shows a progress bar and yields its callback."""

TIMED_IMAGES = 32
"""Number of images on which the time of a method is compared with that of the bare network."""

TIMING_REPEATS = 3


@dataclass(frozen=True)
class Folders:
    """``cache`` for files that can be made again, ``weights`` with the weights of defences."""

    cache: Path
    weights: Path


class TestedNetwork:
    """A network with its dataset; images are attacked and methods fitted on first use.

    Use it in a ``with`` statement, which closes the feature cache.
    """

    __test__ = False  # not a test class, despite its name

    def __init__(self, plan: Plan, network: NetworkPlan, folders: Folders, bars: ProgressBars) -> None:
        self.plan, self.network, self.folders, self.bars = plan, network, folders, bars
        self.dataset: Dataset = load_dataset(
            network.dataset, plan.datasets[network.dataset], plan.folder, folders.cache, plan.seed
        )
        self.backbone = self._load()
        self.outputs = self.dataset.outputs
        if network.classes_only:
            self.outputs = {label: i for i, label in enumerate(self.dataset.classes)}
        self.truth = np.array(self.dataset.test.labels)
        self.identity = {
            "split": self.dataset.test.hash[:16],
            "fit": self.dataset.fit.hash[:16],
            "weights": self.backbone.weights_hash[:16],
        }
        self._folder = tempfile.TemporaryDirectory()
        self._features = FeatureCache(folders.cache / "features.sqlite")
        self._columns: Columns | None = None
        self._setup: MethodSetup | None = None
        self._methods: dict[str, Method | Exception] = {}
        self._clean_outputs: dict[str, MethodOutput] = {}

    def __enter__(self) -> TestedNetwork:
        return self

    def __exit__(self, *exception: object) -> None:
        self._features.close()
        self._folder.cleanup()

    def key(self, column: Column, method: str) -> str:
        """Return the key of a cell: a hash of everything that determines its value."""
        preprocess = self.backbone.spec.preprocess.as_dict()
        parts = {"column": column.key, "method": method, "seed": self.plan.seed, "alpha": self.plan.alpha}
        network = {"backbone": self.network.backbone, "preprocess": preprocess}
        counts = {"attacked_images": self.network.attacked_images}
        if self.plan.images:
            counts["images"] = self.plan.images
        if (
            version := method_version(method)
        ) > 1:  # as for the images: keys of earlier records stay what they were
            counts["version"] = version
        return cell_key(self.identity_for(column, method) | parts | network | counts)

    def identity_for(self, column: Column, method: str) -> dict[str, str]:
        """Return what identifies images and weights, those of an auxiliary network and of a defence included if used.

        The weights of a defence are used by the defence itself and by columns that are attacked through it.
        """
        auxiliary = {"auxiliary": self._auxiliary[0]} if asks_auxiliary(method) else {}
        return self.identity | auxiliary | self._defences_of(column, method)

    def absent(self, column: Column, method: str) -> str:
        """Return why an auxiliary network or a defence's weights are not there; empty if they are, or none are used."""
        if asks_auxiliary(method) and self._auxiliary[1]:
            return self._auxiliary[1]
        used = self._defences_of(column, method)
        missing = [name for name, digest in used.items() if not digest]
        return f"the weights of {', '.join(missing)} are not in {self.folders.weights}" if missing else ""

    def _defences_of(self, column: Column, method: str) -> dict[str, str]:
        return {name: digest for name, digest in self._defences.items() if name in (column.through, method)}

    @cached_property
    def _defences(self) -> dict[str, str]:
        """Hashes of the weights of the plan's defences."""
        through = {column.through for column in self.plan.columns}
        return hash_defences(through | set(self.plan.methods), self.folders.weights)

    @cached_property
    def _auxiliary(self) -> tuple[str, str]:
        """What identifies the auxiliary network, and the reason why it cannot be read; one of them is empty."""
        if not self.network.auxiliary:
            return "", "the plan names no auxiliary network"
        try:
            return read_auxiliary(self.plan.folder / self.network.auxiliary).identity[:16], ""
        except SimDNNError as error:
            return "", reason(error)

    @property
    def columns(self) -> Columns:
        """The test images: clean, corrupted and attacked."""
        if self._columns is None:
            bare = Classifier(self.backbone)
            through = {column.through: column.samples for column in self.plan.columns if column.through}
            self._columns = Columns(
                bare,
                self._pixels(self.dataset.test),
                torch.tensor([self.outputs[label] for label in self.dataset.test.labels]),
                defences={name: self._attackable(name, bare, samples) for name, samples in through.items()},
                defence_weights=self._defences,
                identity=self.identity | {"preprocess": self.backbone.spec.preprocess.as_dict()},
                store=self.folders.cache / "attacked",
                limit=self.network.attacked_images,
                seed=self.plan.seed,
            )
        return self._columns

    @property
    def setup(self) -> MethodSetup:
        """The network and the clean images that methods are fitted to."""
        if self._setup is None:
            fit = self.dataset.fit
            with self.bars(f"{self.network.row}: clean images"):
                clean = baseline_input(self.backbone, self._pixels(fit))
            self._setup = MethodSetup(
                network=self.backbone,
                extractor=Extractor([self._load(layers=False)], cache=self._features),
                fit=fit.write(Path(self._folder.name) / "fit.csv"),
                clean=clean,
                labels=np.array(fit.labels),
                classes=self.dataset.classes,
                outputs=np.array([self.outputs[label] for label in self.dataset.classes]),
                weights=self.folders.weights,
                auxiliary=self.plan.folder / self.network.auxiliary if self.network.auxiliary else None,
                seed=self.plan.seed,
                alpha=self.plan.alpha,
            )
        return self._setup

    def cell(self, column: Column, name: str, column_images: ColumnImages, images: TestImages) -> Record:
        """Measure one cell: the method of that name on the images of a column."""
        method = self._method(name)
        truth = self.truth[column_images.rows]
        fooled = column_images.fooled
        output = method.evaluate(images, truth)
        clean = output if column.kind == "clean" else self._clean_output(name, method)
        metrics = measure(
            column.kind, output, column_images.network_correct, fooled, clean, truth.tolist(), self.plan.seed
        )
        record: Record = {"n": len(truth), "fooled": int(fooled.sum()), "metrics": metrics}
        if output.scores is not None:
            counted = fooled if column.kind == "attack" else np.ones_like(fooled)
            record["scores"] = [float(f"{score:.4g}") for score in output.scores[counted]]
        if column.kind == "clean":
            record["cost"] = self._cost(method, images, truth)
        return record

    def flags(self, name: str, images: TestImages, truth: NDArray[np.str_]) -> NDArray[np.bool_] | str | None:
        """Return (N,) which images a method flags; its error as a text; or None for a method without a detector."""
        try:
            output = self._method(name).evaluate(images, truth)
        except Exception as error:
            return reason(error)
        return None if output.scores is None else output.flagged

    def _method(self, name: str) -> Method:
        if name not in self._methods:
            try:
                with self.bars(f"{self.network.row}: fitting {name}"):
                    self._methods[name] = find_method(name)(self.setup)
            except Exception as error:
                self._methods[name] = error
        method = self._methods[name]
        if isinstance(method, Exception):
            raise method
        return method

    def _clean_output(self, name: str, method: Method) -> MethodOutput:
        if name not in self._clean_outputs:
            images = TestImages(self.backbone, self.columns.pixels)
            self._clean_outputs[name] = method.evaluate(images, self.truth)
        return self._clean_outputs[name]

    def _cost(self, method: Method, images: TestImages, truth: NDArray[np.str_]) -> dict[str, float]:
        """Return the time of a method, including the network's pass, relative to that of the bare network."""
        pixels, truth = images.pixels[:TIMED_IMAGES], truth[:TIMED_IMAGES]
        bare = Classifier(self.backbone)
        times = [
            (
                _seconds(lambda: predict(bare, pixels)),
                _seconds(lambda: method.evaluate(TestImages(self.backbone, pixels), truth)),
            )
            for _ in range(TIMING_REPEATS)
        ]
        ratio = median(method_time / bare_time for bare_time, method_time in times)
        return {"ratio": round(ratio, 3), "images": len(pixels)}

    def _load(self, *, layers: bool = True) -> Backbone:
        """Load the network, with the features of its middle layers as well if ``layers``."""
        load = partial(
            load_network,
            self.network,
            self.plan.folder,
            dataset=self.dataset,
            folder=self.folders.cache / "class-outputs",
        )
        network = load()
        if not layers:
            return network
        return load((*middle_layers(network), *network.layers)).to(default_device())

    def _pixels(self, part: Part) -> torch.Tensor:
        return torch.stack([self.backbone.spec.preprocess(read_image(path)) for path in part.paths])

    def _attackable(self, name: str, bare: nn.Module, samples: int) -> nn.Module:
        network = defended(name, bare, seed=self.plan.seed, weights=self.folders.weights)
        return Averaged(network, samples) if samples > 1 else network


def _seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def reason(error: Exception) -> str:
    """Return an error as one line of text."""
    message = str(error).strip().split("\n")[0]
    return message if isinstance(error, SimDNNError) else f"{type(error).__name__}: {message}"
