"""What to measure: datasets, networks, columns and methods of one table. Data only; `read_plan` makes it of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMS = ("8-bit", "float", "JPEG 75")
"""How a detector gets an attacked image: as an image file holds it, as the attack left it, or saved again as JPEG."""

LAYOUTS = ("networks", "methods")
"""One table with a row per network, as in the paper; or a table per network with a row per method."""


@dataclass(frozen=True)
class DatasetPlan:
    """Where labelled images are.

    Attributes
    ----------
    fit, test : folders with one subfolder per class; within the archive if there is one; empty where the source
        itself has two parts
    archive : a .tar file to unpack first
    torchvision : a dataset of torchvision instead: CIFAR10, Imagenette or ImageNet, found in ``root``
    root : its folder; it is fetched there if torchvision can
    builtin : ``"digits"``: scikit-learn's scanned digits, and a small network trained on them
    outputs : the network's output for each class; by default the classes' positions in sorted order
    fit_images, test_images : take so many at most, the same share of each class, drawn by the seed; 0 means all
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
    row : its name in tables; where it is one of the paper's, up to a bracket, the paper's values are printed beside
    dataset : name of a dataset of the plan
    backbone, weights, mean, std, size, resize : see :func:`simdnn.networks.backbone.load_backbone`; ``{dataset}`` in
        the path of the weights stands for the folder of the dataset
    attacked_images : attack so many of the test images at most, drawn by the seed; 0 means all
    note : printed beneath the table
    """

    row: str
    dataset: str
    backbone: str
    weights: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    size: int | None = None
    resize: int | None = None
    attacked_images: int = 0
    note: str = ""


@dataclass(frozen=True)
class Column:
    """The test images of one column of a table.

    Attributes
    ----------
    kind : ``"clean"``, ``"attack"`` or ``"control"``
    label : as it heads the column, such as ``"pgd-0.01"``
    parameters : of the attack, all of them; or the name of the harmless corruption
    form : one of `FORMS`
    through : the defence that the attack differentiates through; empty for an attack on the bare network
    samples : draws of a random defence over which each step of such an attack averages
    limit : attack so many images at most; 0 means all
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
        """What identifies it, ready for JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Plan:
    """One table of the benchmark.

    Attributes
    ----------
    name, folder : name of the file, without its suffix, and the folder that relative paths start at
    records : the file of the records, one line of JSON per cell
    title, note : printed over and beneath the table
    layout : one of `LAYOUTS`
    metrics : a table for each, see :data:`simdnn.evaluation.metrics.METRICS`
    paper : number of the paper's table whose values are printed beside, or empty
    seed, alpha : of every draw; false-alarm rate that the detectors are calibrated to, in (0, 1)
    images : evaluate so many images of each column at most; 0 means all
    datasets, networks, columns, methods : what to measure
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
