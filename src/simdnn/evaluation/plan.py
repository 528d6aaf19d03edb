"""A plan: the datasets, networks, columns and methods of one table, as data; `read_plan` reads it from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMS = ("8-bit", "float", "JPEG 75")
"""Forms of an attacked image: rounded to 8 bits, as the attack returned it, or compressed as JPEG of quality 75."""

LAYOUTS = ("networks", "methods")
"""One table with a row per network, as in the paper; or a table per network with a row per method."""


@dataclass(frozen=True)
class DatasetPlan:
    """Where labelled images are.

    Attributes
    ----------
    fit, test : folders with one subfolder per class, inside the archive if there is one; empty for the sources
        ``torchvision`` and ``builtin``
    archive : a .tar file to unpack first
    torchvision : a dataset of torchvision instead: CIFAR10, Imagenette or ImageNet
    root : folder of the dataset of torchvision, which downloads it there if it can
    builtin : ``"digits"``: scikit-learn's scanned digits, with a small network trained on them
    outputs : the network's output for each class; by default the index of the class in sorted order
    fit_images, test_images : largest number of images, about as many of each class, drawn by the seed; 0 for all
    """

    fit: str = ""
    test: str = ""
    archive: str = ""
    torchvision: str = ""
    root: str = ""
    builtin: str = ""
    outputs: dict[str, int] = field(default_factory=dict)
    fit_images: int = 0
    test_images: int = 0


@dataclass(frozen=True)
class NetworkPlan:
    """A network, and the dataset that it is tested on.

    Attributes
    ----------
    row : its name in tables. If the part before a bracket is a network of the paper, its values are printed alongside
    dataset : name of a dataset of the plan
    backbone, weights, mean, std, size, resize : see :func:`simdnn.networks.backbone.load_backbone`; ``{dataset}`` in
        the path of the weights is replaced by the folder of the dataset
    classes_only : keep only the outputs for the dataset's classes; a network with no others is left as it is
    auxiliary : file of the auxiliary network for a second opinion
    attacked_images : largest number of test images that are attacked, drawn by the seed; 0 for all
    note : printed below the table
    """

    row: str
    dataset: str
    backbone: str
    weights: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    size: int | None = None
    resize: int | None = None
    classes_only: bool = False
    auxiliary: str = ""
    attacked_images: int = 0
    note: str = ""


@dataclass(frozen=True)
class Column:
    """The test images of one column of a table.

    Attributes
    ----------
    kind : ``"clean"``, ``"attack"`` or ``"control"``
    label : head of the column, such as ``"pgd-0.01"``
    parameters : all parameters of the attack, or the name of the harmless corruption
    form : one of `FORMS`
    through : the defence that the attack differentiates through; empty for an attack on the bare network
    samples : number of draws of a random defence over which such an attack averages in each step
    limit : largest number of images that are attacked; 0 for all
    """

    kind: str
    label: str
    parameters: dict[str, Any]
    form: str = "8-bit"
    through: str = ""
    samples: int = 1
    limit: int = 0

    @property
    def key(self) -> dict[str, Any]:
        """All settings, for JSON, which identify the column."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Plan:
    """One table of the benchmark.

    Attributes
    ----------
    name, folder : name of the file, without its suffix, and the folder that relative paths start at
    records : the file of the records, one line of JSON per cell
    title, note : printed above and below the table
    layout : one of `LAYOUTS`
    metrics : there is a table for each, see :data:`simdnn.evaluation.metrics.METRICS`
    paper : number of the paper's table whose values are printed alongside, or empty
    seed : seed of all random numbers
    alpha : false-alarm rate of the detectors' thresholds, in (0, 1)
    images : largest number of images of a column that are evaluated; 0 for all
    datasets, networks, columns, methods : what is measured
    """

    name: str
    folder: Path
    records: Path
    title: str
    layout: str
    metrics: tuple[str, ...]
    paper: str
    note: str
    seed: int
    alpha: float
    images: int
    datasets: dict[str, DatasetPlan]
    networks: tuple[NetworkPlan, ...]
    columns: tuple[Column, ...]
    methods: tuple[str, ...]
