"""One network on its dataset: what is to be attacked, defended and watched."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from simdnn.attacks import predict
from simdnn.errors import SimDNNError
from simdnn.evaluation.baselines import middle_layers, observe
from simdnn.evaluation.columns import Columns, Group
from simdnn.evaluation.datasets import Dataset, Part, load_dataset
from simdnn.evaluation.defences import averaged, defended
from simdnn.evaluation.methods import Images, Method, Setting, find_method
from simdnn.evaluation.metrics import Answer, measure
from simdnn.evaluation.plan import Column, NetworkPlan, Plan
from simdnn.evaluation.records import Record, cell_key
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone
from simdnn.networks.cache import FeatureCache
from simdnn.networks.classifier import Classifier
from simdnn.networks.device import default_device
from simdnn.networks.extractor import Extractor
from simdnn.progress import Progress

Bars = Callable[[str], AbstractContextManager[Progress]]
"""Shows a progress bar of that description."""

TIMED = 32
"""Images on which the cost of a method is timed against the bare network."""

TURNS = 3


@dataclass(frozen=True)
class Places:
    """Folders: ``base`` that the plan's relative paths start at, ``cache`` for what can be made again, ``weights``."""

    base: Path
    cache: Path
    weights: Path


class Subject:
    """A network on its dataset, ready to be attacked and defended; what costs time is done when it is needed."""

    def __init__(self, plan: Plan, network: NetworkPlan, places: Places, bars: Bars) -> None:
        self.plan, self.network, self.places, self.bars = plan, network, places, bars
        self.dataset: Dataset = load_dataset(
            network.dataset, plan.datasets[network.dataset], places.base, places.cache, plan.seed
        )
        self.backbone = self._load()
        self.truth = np.array(self.dataset.test.labels)
        self.identity = {
            "split": self.dataset.test.hash[:16],
            "fit": self.dataset.fit.hash[:16],
            "weights": self.backbone.weights_hash[:16],
        }
        self._folder = tempfile.TemporaryDirectory()
        self._features = FeatureCache(places.cache / "features.sqlite")
        self._columns: Columns | None = None
        self._setting: Setting | None = None
        self._methods: dict[str, Method | Exception] = {}
        self._clean: dict[str, Answer] = {}

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *exception: object) -> None:
        self._features.close()
        self._folder.cleanup()

    def key(self, column: Column, method: str) -> str:
        """Identify a cell by everything that decides its value."""
        preprocess = self.backbone.spec.preprocess.as_dict()
        parts = {"column": column.key, "method": method, "seed": self.plan.seed, "alpha": self.plan.alpha}
        network = {"backbone": self.network.backbone, "preprocess": preprocess}
        counts = {"attacked_images": self.network.attacked_images}
        if self.plan.images:
            counts["images"] = self.plan.images
        return cell_key(self.identity | parts | network | counts)

    @property
    def columns(self) -> Columns:
        """The test images and their changes."""
        if self._columns is None:
            bare = Classifier(self.backbone)
            through = {column.through: column.samples for column in self.plan.columns if column.through}
            self._columns = Columns(
                bare,
                self._pixels(self.dataset.test),
                torch.tensor([self.dataset.outputs[label] for label in self.dataset.test.labels]),
                defences={name: self._attackable(name, bare, samples) for name, samples in through.items()},
                identity=self.identity | {"preprocess": self.backbone.spec.preprocess.as_dict()},
                store=self.places.cache / "attacked",
                limit=self.network.attacked_images,
                seed=self.plan.seed,
            )
        return self._columns

    @property
    def setting(self) -> Setting:
        """The clean images that methods learn from."""
        if self._setting is None:
            fit = self.dataset.fit
            with self.bars(f"{self.network.row}: clean images"):
                clean = observe(self.backbone, self._pixels(fit))
            guarded = self._load(layers=False)
            self._setting = Setting(
                network=self.backbone,
                guarded=Extractor([guarded], cache=self._features),
                fit=fit.write(Path(self._folder.name) / "fit.csv"),
                clean=clean,
                labels=np.array(fit.labels),
                classes=self.dataset.classes,
                outputs=np.array([self.dataset.outputs[label] for label in self.dataset.classes]),
                weights=self.places.weights,
                seed=self.plan.seed,
                alpha=self.plan.alpha,
            )
        return self._setting

    def cell(self, column: Column, name: str, group: Group, images: Images) -> Record:
        """Measure one cell."""
        method = self._method(name)
        truth = self.truth[group.rows]
        answer = method.answer(images, truth)
        clean = answer if column.kind == "clean" else self._clean_answer(name, method)
        found = measure(
            column.kind, answer, group.accurate, group.fooled, clean, truth.tolist(), self.plan.seed
        )
        record: Record = {"n": len(truth), "fooled": int(group.fooled.sum()), "metrics": found}
        if answer.scores is not None:
            counted = group.fooled if column.kind == "attack" else np.ones_like(group.fooled)
            record["scores"] = [float(f"{score:.4g}") for score in answer.scores[counted]]
        if column.kind == "clean":
            record["cost"] = self._cost(method, images, truth)
        return record

    def flags(self, name: str, images: Images, truth: NDArray[np.str_]) -> NDArray[np.bool_] | str | None:
        """Return which images a method flags, why it cannot say, or None for one that flags nothing at all."""
        try:
            answer = self._method(name).answer(images, truth)
        except Exception as error:
            return reason(error)
        return None if answer.scores is None else answer.flagged

    def _method(self, name: str) -> Method:
        if name not in self._methods:
            try:
                with self.bars(f"{self.network.row}: {name} learns"):
                    self._methods[name] = find_method(name)(self.setting)
            except Exception as error:
                self._methods[name] = error
        method = self._methods[name]
        if isinstance(method, Exception):
            raise method
        return method

    def _clean_answer(self, name: str, method: Method) -> Answer:
        if name not in self._clean:
            self._clean[name] = method.answer(Images(self.backbone, self.columns.pixels), self.truth)
        return self._clean[name]

    def _cost(self, method: Method, images: Images, truth: NDArray[np.str_]) -> dict[str, float]:
        """Time of a method, the network's own pass included, over that of the bare network on the same images."""
        some, truth = images.pixels[:TIMED], truth[:TIMED]
        bare = Classifier(self.backbone)
        turns = [
            (
                _seconds(lambda: predict(bare, some)),
                _seconds(lambda: method.answer(Images(self.backbone, some), truth)),
            )
            for _ in range(TURNS)
        ]
        return {"ratio": round(median(own / alone for alone, own in turns), 3), "images": len(some)}

    def _load(self, *, layers: bool = True) -> Backbone:
        folder = self.dataset.folder
        made = self.network.load(self.places.base, folder=folder)
        if not layers:
            return made
        watched = self.network.load(self.places.base, (*middle_layers(made), *made.layers), folder)
        return watched.to(default_device())

    def _pixels(self, part: Part) -> torch.Tensor:
        return torch.stack([self.backbone.spec.preprocess(read_image(path)) for path in part.paths])

    def _attackable(self, name: str, bare: nn.Module, samples: int) -> nn.Module:
        network = defended(name, bare, seed=self.plan.seed, weights=self.places.weights)
        return averaged(network, samples) if samples > 1 else network


def _seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def reason(error: Exception) -> str:
    """Say in one line what broke."""
    told = str(error).strip().split("\n")[0]
    return told if isinstance(error, SimDNNError) else f"{type(error).__name__}: {told}"
