"""The demonstration from end to end: train, fit, attack, check and report, on data that needs no download."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from simdnn.attacks import DDN, FGSM, PGD, Attack, Noise, predict, run_attack
from simdnn.audit.store import AuditStore
from simdnn.demo.outcome import ImageGroup, Outcome, false_alarm_bound, summarise
from simdnn.demo.paths import DemoPaths
from simdnn.demo.report import write_report
from simdnn.digits import IN_UNITS, one_thread, read_digits, train_network, write_digits
from simdnn.evaluation.provenance import provenance
from simdnn.guard.guard import Guard
from simdnn.images.picture import picture_of
from simdnn.networks.backbone import load_backbone
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor
from simdnn.progress import Progress

CONTROLS: tuple[Attack, ...] = (Noise(eps=0.1),)
ATTACKS: tuple[Attack, ...] = (FGSM(eps=0.1), PGD(eps=0.1, steps=20, step_size=0.02), DDN(steps=40))
"""Strong enough that the network misclassifies nearly every digit."""

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Called with the title of a stage; a context that yields the stage's progress callback."""


@dataclass(frozen=True)
class Demo:
    """Result of the demonstration: its paths, the rows of the table, clean images first, and the record written."""

    paths: DemoPaths
    outcomes: tuple[Outcome, ...]
    record: dict[str, Any]


def run_demo(folder: Path, stage: Stage, *, seed: int = 0) -> Demo:
    """Train a network on digits, fit its guard, attack the network, and check the attacked files.

    Parameters
    ----------
    folder
        Output folder: new, empty, or that of an earlier demonstration, which is replaced.
    stage
        Shows the progress of each stage.
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        If the folder holds something else, or cannot be written.
    """
    began = time.perf_counter()
    paths = DemoPaths(folder)
    with stage("writing digits"):
        paths.prepare()
        write_digits(paths.digits, seed=seed)
    with one_thread():
        guard = _fit(paths, stage, seed)
        parameters = _attack(paths, guard, stage, seed)
        groups = _check(paths, guard, parameters, stage)

    clean, training, alpha = groups[0], guard.training, guard.settings.alpha
    outcomes = tuple(summarise(group, clean, seed=seed) for group in groups)
    record: dict[str, Any] = {
        "title": "Sim-DNN on scikit-learn's digits",
        "rule": guard.rule.name,
        "alpha": alpha,
        "learned": training.learned,
        "calibrated": training.calibrated,
        "prototypes": len(guard.model.prototypes),
        "false_alarm_bound": false_alarm_bound(alpha, training.calibrated, len(clean.verdicts)),
        "rows": [outcome.as_dict() for outcome in outcomes],
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    } | provenance()
    with stage("writing the report") as progress:
        write_report(paths.report, guard, groups, outcomes, record, paths.digits / "test", progress)
    record["seconds"] = round(time.perf_counter() - began, 1)
    paths.results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Demo(paths, outcomes, record)


def _fit(paths: DemoPaths, stage: Stage, seed: int) -> Guard:
    """Train the network, fit its guard on other digits, and load the guard from its file as a user would."""
    with stage("training the network") as progress:
        train_network(paths.digits / "network", paths.weights, seed=seed, progress=progress)
    backbone = load_backbone(
        "simdnn.networks.digits:digits_network",
        paths.weights,
        size=SIDE,
        mean=IN_UNITS.mean,
        std=IN_UNITS.std,
    )
    with stage("learning clean digits") as progress:
        guard = Guard.fit(
            paths.digits / "train", Extractor([backbone]), seed=seed, view_seed=seed, progress=progress
        )
    guard.save(paths.guard)
    return Guard.load(paths.guard)


def _attack(paths: DemoPaths, guard: Guard, stage: Stage, seed: int) -> dict[str, dict[str, Any]]:
    """Attack the correctly classified test digits, and write 8-bit files; return each attack's parameters by name."""
    classifier = guard.classifier.eval()
    files, images, digits = read_digits(paths.digits / "test")
    correct = predict(classifier, images) == digits
    originals = [path for path, is_correct in zip(files, correct.tolist(), strict=True) if is_correct]
    parameters = {}
    for attack in CONTROLS + ATTACKS:
        with stage(f"making {attack.name} images") as progress:
            result = run_attack(
                attack, classifier, images[correct], digits[correct], seed=seed, progress=progress
            )
        _write(result.images_8bit, originals, paths.attacked / attack.name)
        parameters[attack.name] = result.parameters
    return parameters


def _write(images: Tensor, originals: list[Path], folder: Path) -> None:
    """Write images under the names and class folders of their originals."""
    for image, original in zip(images, originals, strict=True):
        path = folder / original.parent.name / original.name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture_of(image).save(path)


def _check(
    paths: DemoPaths, guard: Guard, parameters: dict[str, dict[str, Any]], stage: Stage
) -> tuple[ImageGroup, ...]:
    """Check the files, and record the flagged ones in the audit store."""
    folders = {"clean": paths.digits / "test"} | {name: paths.attacked / name for name in parameters}
    attacks = {attack.name for attack in ATTACKS}
    model_id = guard.model_id
    groups = []
    with AuditStore.open(paths.audit, images=paths.audit_images) as store:
        for name, folder in folders.items():
            with stage(f"checking {name} images") as progress:
                verdicts = list(guard.check(folder, progress=progress))
            flagged = [verdict for verdict in verdicts if verdict.verdict == "attack"]
            store.record_all(((v, Path(v.path).read_bytes()) for v in flagged), model_id=model_id)
            truth = [Path(verdict.path).parent.name for verdict in verdicts]
            groups.append(ImageGroup(name, parameters.get(name, {}), name in attacks, truth, verdicts))
    return tuple(groups)
