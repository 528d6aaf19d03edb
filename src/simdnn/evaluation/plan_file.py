"""Read a plan from its TOML file, and check all names in it, without importing heavy libraries."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Template
from typing import Annotated, Any, TypeVar

import msgspec

from simdnn.errors import InputError
from simdnn.evaluation.metrics import METRICS
from simdnn.evaluation.names import ATTACKS, CONTROLS, DEFENCES, METHODS, REQUIRED
from simdnn.evaluation.plan import FORMS, LAYOUTS, Column, DatasetPlan, NetworkPlan, Plan
from simdnn.evaluation.spelling import did_you_mean, one_of, refuse_unknown

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class _PlanFile:
    """The settings of a plan file, with their defaults."""

    title: str
    datasets: dict[str, dict[str, Any]]
    networks: dict[str, dict[str, Any]]
    methods: list[str]
    rows: list[str] = field(default_factory=list)
    attacks: list[dict[str, Any]] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=lambda: ["8-bit"])
    layout: str = "methods"
    metrics: list[str] = field(default_factory=lambda: ["auroc"])
    paper: str = ""
    note: str = ""
    records: str = "records"
    seed: Count = 0
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    images: Count = 0


@dataclass(frozen=True)
class _AttackOptions:
    """Settings of an attack in a plan besides its parameters."""

    through: str = ""
    samples: Annotated[int, msgspec.Meta(ge=1)] = 1
    limit: Count = 0
    forms: list[str] | None = None


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Environment variables such as ``$SIMDNN_DATA`` are expanded in the settings of datasets and networks. Relative paths
    start at the plan's folder. ``include`` lists files with further settings, which those of the plan override.
    ``rows`` selects the networks and their order. ``records`` is the folder of the records, by default ``records``
    beside the plan.

    Raises
    ------
    InputError
        If the file does not exist, is not TOML, or has a setting that is unknown, missing or of the wrong type. Of an
        attack, only the names of the parameters are checked here; ``make_attack`` checks their values.
    """
    settings = _read(path)
    included = settings.pop("include", [])
    if not isinstance(included, list) or not all(isinstance(name, str) for name in included):
        raise InputError(f"{path}: expected a list of files for 'include', got {included!r}")
    for name in included:
        settings = _read(path.parent / name) | settings
    try:
        return _plan(path, settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the plan {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"expected a plan in TOML, got {path}: {error}") from error


def _plan(path: Path, settings: dict[str, Any]) -> Plan:
    refuse_unknown(settings, _names(_PlanFile), "the plan")
    for needed in ("title", "datasets", "networks", "methods"):
        if not settings.get(needed):
            raise InputError(f"the plan lacks {needed!r}")
    file = _convert(_PlanFile, settings, "the plan")
    datasets = {
        name: _convert(DatasetPlan, _expanded(values), f"dataset {name}")
        for name, values in file.datasets.items()
    }
    rows = [one_of(row, file.networks, "rows") for row in file.rows or file.networks]
    networks = [
        _convert(NetworkPlan, {"row": row} | _expanded(file.networks[row]), f"network {row}") for row in rows
    ]
    for network in networks:
        one_of(network.dataset, datasets, f"dataset of {network.row}")
    return Plan(
        name=path.stem,
        folder=path.parent,
        records=path.parent / file.records / f"{path.stem}.jsonl",
        title=file.title,
        layout=one_of(file.layout, LAYOUTS, "layout"),
        metrics=tuple(one_of(metric, METRICS, "metrics") for metric in file.metrics),
        paper=file.paper,
        note=file.note,
        seed=file.seed,
        alpha=file.alpha,
        images=file.images,
        datasets=datasets,
        networks=tuple(networks),
        columns=tuple(_columns(file)),
        methods=tuple(_method(name) for name in file.methods),
    )


def _columns(file: _PlanFile) -> list[Column]:
    """Return the columns: clean images first, then the harmless corruptions, then each attack in each form."""
    controls = [one_of(name, CONTROLS, "controls") for name in file.controls]
    columns = [
        Column("clean", "clean", {}),
        *(Column("control", name, {"change": name}) for name in controls),
    ]
    for settings in file.attacks:
        columns += _attack_columns(settings, file.forms)
    _refuse_equal(columns)
    return columns


def _refuse_equal(columns: list[Column]) -> None:
    """Raise InputError if records and tables could not tell two columns apart."""
    seen: dict[tuple[str, str, str], Column] = {}
    for column in columns:
        place = (column.label, column.form, column.through)
        if (other := seen.setdefault(place, column)) is column:
            continue
        before, after = other.key | other.parameters, column.key | column.parameters
        differ = [
            f"{name} {before.get(name)} and {value}"
            for name, value in after.items()
            if name != "parameters" and before.get(name) != value
        ]
        what = f", which differ in {', '.join(differ)} only" if differ else ", which are equal"
        through = f", through {column.through}" if column.through else ""
        raise InputError(
            f"expected columns with different heads, got {column.label}, {column.form}{through} twice{what}; tables "
            "tell columns apart by name, strength, form and defence alone: leave one out, or put it into another plan"
        )


def _attack_columns(settings: Mapping[str, Any], default_forms: list[str]) -> list[Column]:
    given_options = {name: value for name, value in settings.items() if name in _names(_AttackOptions)}
    name, parameters = _attack({key: value for key, value in settings.items() if key not in given_options})
    options = _convert(_AttackOptions, given_options, f"attack {name}")
    if options.through:
        one_of(options.through, DEFENCES, f"attack {name}: through")
    forms = default_forms if options.forms is None else options.forms
    return [
        Column(
            "attack",
            _label(name, parameters),
            {"attack": name, **parameters},
            one_of(form, FORMS, "forms"),
            options.through,
            options.samples,
            options.limit,
        )
        for form in forms
    ]


def _attack(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of an attack and all of its parameters, with defaults filled in."""
    name = settings.pop("attack", None)
    if not isinstance(name, str) or name not in ATTACKS:
        raise InputError(
            f"expected an attack among {', '.join(ATTACKS)}; got {name!r}{did_you_mean([name], ATTACKS)}"
        )
    known = ATTACKS[name]
    if unknown := sorted(set(settings) - set(known)):
        options = [*known, *_names(_AttackOptions)]
        raise InputError(
            f"{name} has no parameter {', '.join(unknown)}; it has {', '.join(known)}"
            f"{did_you_mean(unknown, options)}"
        )
    if name == "pgd" and isinstance(settings.get("eps"), (int, float)):
        settings.setdefault("step_size", settings["eps"] / 8)
    parameters = {parameter: settings.get(parameter, default) for parameter, default in known.items()}
    missing = [parameter for parameter, value in parameters.items() if value is REQUIRED]
    if missing:
        raise InputError(f"{name} needs {', '.join(missing)}")
    return name, parameters


def _label(name: str, parameters: Mapping[str, Any]) -> str:
    """Return the head of an attack's column: its name with its strength.

    >>> _label("ddn", {"steps": 20}), _label("apgd", {"eps": 0.02, "loss": "dlr"}), _label("deepfool", {"steps": 20})
    ('ddn-20', 'apgd-dlr-0.02', 'deepfool')
    """
    kind = f"{name}-{parameters['loss']}" if "loss" in parameters else name
    if isinstance(parameters.get("eps"), (int, float)):
        return f"{kind}-{parameters['eps']:g}"
    return f"{kind}-{parameters['steps']}" if name == "ddn" else kind


def _method(name: str) -> str:
    if name in METHODS or ":" in name:
        return name
    raise InputError(
        f"methods: expected one of {', '.join(METHODS)}, or package.module:Detector; got {name!r}"
        f"{did_you_mean([name], METHODS)}"
    )


def _expanded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Expand environment variables in texts; variables that are not set stay as they are."""
    return {
        name: Template(value).safe_substitute(os.environ) if isinstance(value, str) else value
        for name, value in settings.items()
    }


def _convert(kind: type[T], settings: Mapping[str, Any], where: str) -> T:
    """Convert plain settings to a dataclass; InputError if a name is unknown or a type is wrong."""
    refuse_unknown(settings, _names(kind), where)
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}") from error


def _names(kind: Any) -> list[str]:
    return [one.name for one in fields(kind)]
