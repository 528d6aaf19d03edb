"""What to measure: a TOML file of datasets, networks, columns and methods."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from simdnn.attacks.registry import make_attack, title
from simdnn.errors import InputError, WeightsError
from simdnn.evaluation.methods import find_method
from simdnn.evaluation.metrics import METRICS
from simdnn.images.corruptions import CHANGES
from simdnn.networks.backbone import Backbone, load_backbone

FORMS = ("8-bit", "float", "JPEG 75")
"""How a detector gets an attacked image: as an image file holds it, as the attack left it, or saved again as JPEG."""

LAYOUTS = ("networks", "methods")
"""Whether a table has a row for each network, as the paper's have, or a table for each network with a row a method."""

T = TypeVar("T")


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
    """A network, and the dataset that it is measured on.

    Attributes
    ----------
    row : its name in tables; where it is one of the paper's, up to a bracket, the paper's cells stand beside
    dataset : name of a dataset of the plan
    backbone, weights, mean, std, size, resize : see :func:`simdnn.networks.backbone.load_backbone`
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

    def load(self, base: Path, layers: Iterable[str] = (), folder: Path | None = None) -> Backbone:
        """Make the network, watched at some layers.

        Parameters
        ----------
        base : folder that a relative path of the weights starts at
        layers : names of modules
        folder : of the dataset, which ``{dataset}`` in the path of the weights stands for
        """
        if "$" in self.weights:
            raise WeightsError(f"{self.row}: the weights {self.weights} name a variable that is not set")
        weights = base / self.weights.replace("{dataset}", str(folder)) if self.weights else None
        return load_backbone(
            self.backbone,
            weights,
            layers,
            mean=self.mean,
            std=self.std,
            size=self.size,
            resize=self.resize,
        )


@dataclass(frozen=True)
class Column:
    """One group of test images.

    Attributes
    ----------
    kind : ``"clean"``, ``"attack"`` or ``"control"``
    label : as it heads the column, such as ``"pgd-0.01"``
    parameters : of the attack or change
    form : one of `FORMS`
    through : the defence that the attack was made through; empty for an attack on the bare network
    samples : draws of a random defence that each step of such an attack averages over
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
    name : of the file, without its suffix
    title, note : printed over and beneath the table
    layout : one of `LAYOUTS`
    metrics : a table for each, see :data:`simdnn.evaluation.metrics.METRICS`
    paper : number of the paper's table whose cells are printed beside, or empty
    seed, alpha : of every draw; false-alarm rate that the detectors are set to
    images : ask about so many images of each column at most; 0 means all
    datasets, networks, columns, methods : what to measure
    """

    name: str
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


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Variables of the environment such as ``$SIMDNN_DATA`` are put in; relative paths start at the file's own folder.
    The files that ``include`` names give settings that the plan itself does not have; ``rows`` says which of the
    networks are measured, and in what order.

    Raises
    ------
    InputError
        If the file does not exist, is no TOML, or has a setting that is unknown, missing or does not fit.
    """
    plain = _read(path)
    for included in plain.pop("include", []):
        plain = _read(path.parent / included) | plain
    try:
        return _plan(path, plain)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the plan {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"expected a plan in TOML, got {path}: {error}") from error


def _plan(path: Path, plain: dict[str, Any]) -> Plan:
    known = {
        "title", "layout", "metrics", "paper", "note", "seed", "alpha", "images",
        "datasets", "networks", "rows", "attacks", "controls", "forms", "methods",
    }  # fmt: skip
    _refuse(set(plain) - known, "the plan", known)
    for needed in ("title", "datasets", "networks", "methods"):
        if not plain.get(needed):
            raise InputError(f"the plan lacks {needed!r}")
    given = plain["networks"]
    rows = [_one_of(row, given, "rows") for row in plain.get("rows", given)]
    plan = Plan(
        name=path.stem,
        title=plain["title"],
        layout=_one_of(plain.get("layout", "methods"), LAYOUTS, "layout"),
        metrics=tuple(_one_of(m, METRICS, "metrics") for m in plain.get("metrics", ["auroc"])),
        paper=plain.get("paper", ""),
        note=plain.get("note", ""),
        seed=plain.get("seed", 0),
        alpha=plain.get("alpha", 0.05),
        images=plain.get("images", 0),
        datasets={
            name: _made(DatasetPlan, given, f"dataset {name}") for name, given in plain["datasets"].items()
        },
        networks=tuple(_made(NetworkPlan, {"row": row} | given[row], f"network {row}") for row in rows),
        columns=tuple(_columns(plain)),
        methods=tuple(plain["methods"]),
    )
    for method in plan.methods:
        find_method(method)
    for network in plan.networks:
        _one_of(network.dataset, plan.datasets, f"dataset of {network.row}")
    return plan


def _columns(plain: dict[str, Any]) -> list[Column]:
    """Clean images first, then the controls, then each attack in each form."""
    controls = [_one_of(name, CHANGES, "controls") for name in plain.get("controls", [])]
    columns = [
        Column("clean", "clean", {}),
        *(Column("control", name, {"change": name}) for name in controls),
    ]
    usual = plain.get("forms", ["8-bit"])
    for given in plain.get("attacks", []):
        settings = dict(given)
        own = {name: settings.pop(name) for name in ("through", "samples", "limit") if name in settings}
        forms = [_one_of(form, FORMS, "forms") for form in settings.pop("forms", usual)]
        made = make_attack(settings)
        columns += [
            Column("attack", title(made), {"attack": made.name, **_values(made)}, form, **own)
            for form in forms
        ]
    return columns


def _values(made: Any) -> dict[str, Any]:
    return {f.name: getattr(made, f.name) for f in fields(made)}


def _made(kind: type[T], given: Mapping[str, Any], where: str) -> T:
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    _refuse(set(given) - set(known), where, known)
    values = {
        name: Template(value).safe_substitute(os.environ)
        if isinstance(value, str)
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in given.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error


def _refuse(unknown: set[str], where: str, known: Any) -> None:
    if unknown:
        raise InputError(
            f"{where} has unknown settings: {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}"
        )


def _one_of(value: Any, known: Any, what: str) -> str:
    if value not in known:
        raise InputError(f"{what}: expected one of {', '.join(known)}; got {value!r}")
    return str(value)
