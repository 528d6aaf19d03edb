"""The main job from end to end, on real data that needs no download."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from simdnn.attacks import DDN, FGSM, PGD, Attack, Noise, predict, run_attack
from simdnn.audit.store import AuditStore
from simdnn.demo.outcome import Group, Outcome, expected_false_alarms, summarise
from simdnn.demo.places import Places
from simdnn.demo.report import write_report
from simdnn.digits import IN_UNITS, read_digits, train_network, write_digits
from simdnn.evaluation.provenance import provenance
from simdnn.guard.guard import Guard
from simdnn.networks.backbone import load_backbone
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor
from simdnn.progress import Progress

CONTROLS: tuple[Attack, ...] = (Noise(eps=0.1),)
ATTACKS: tuple[Attack, ...] = (FGSM(eps=0.1), PGD(eps=0.1, steps=20, step_size=0.02), DDN(steps=40))
"""Strong enough that the network mislabels nearly every digit."""

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Called with what begins; gives the progress callback for it."""


@dataclass(frozen=True)
class Demo:
    """What came out: the rows of the table, clean images first, and the record that was written."""

    places: Places
    outcomes: tuple[Outcome, ...]
    record: dict[str, Any]


def run_demo(folder: Path, stage: Stage, *, seed: int = 0) -> Demo:
    """Train a network on digits, guard it, attack it, and see what the guard says of the attacked files.

    Parameters
    ----------
    folder
        New, empty, or that of an earlier demonstration, which is replaced.
    stage
        Tells the user what goes on.
    seed
        Of every draw.

    Raises
    ------
    InputError
        If there is something else in the folder.
    """
    began = time.perf_counter()
    places = Places(folder)
    with stage("writing digits"):
        places.prepare()
        write_digits(places.digits, seed=seed)
    with _one_thread():
        guard = _fit(places, stage, seed)
        parameters = _attack(places, guard, stage, seed)
        groups = _check(places, guard, parameters, stage)

    clean, training, alpha = groups[0], guard.training, guard.model.alpha
    outcomes = tuple(summarise(group, clean, seed=seed) for group in groups)
    record: dict[str, Any] = {
        "title": "Sim-DNN on scikit-learn's digits",
        "rule": guard.rule,
        "alpha": alpha,
        "learned": training.learned,
        "calibrated": training.calibrated,
        "prototypes": len(guard.model.prototypes_),
        "expected_false_alarms": expected_false_alarms(alpha, training.calibrated, len(clean.verdicts)),
        "rows": [outcome.as_dict() for outcome in outcomes],
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    } | provenance()
    with stage("writing the report") as progress:
        write_report(places.report, guard, groups, outcomes, record, places.digits / "test", progress)
    record["seconds"] = round(time.perf_counter() - began, 1)
    places.results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Demo(places, outcomes, record)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep PyTorch to one thread: a network this small is quicker so, far quicker on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fit(places: Places, stage: Stage, seed: int) -> Guard:
    """Train the network, fit its guard on other digits, and read the guard back as a user would."""
    with stage("training the network") as progress:
        train_network(places.digits / "network", places.weights, seed=seed, progress=progress)
    backbone = load_backbone(
        "simdnn.networks.digits:digits_network",
        places.weights,
        size=SIDE,
        mean=IN_UNITS.mean,
        std=IN_UNITS.std,
    )
    with stage("learning clean digits") as progress:
        guard = Guard.fit(
            places.digits / "train", Extractor([backbone]), seed=seed, secret=seed, progress=progress
        )
    guard.save(places.guard)
    return Guard.load(places.guard)


def _attack(places: Places, guard: Guard, stage: Stage, seed: int) -> dict[str, dict[str, Any]]:
    """Attack the held-out digits that the network reads right; write 8-bit files; return how each was made."""
    classifier = guard.classifier.eval()
    paths, images, digits = read_digits(places.digits / "test")
    right = predict(classifier, images) == digits
    kept = [path for path, is_right in zip(paths, right.tolist(), strict=True) if is_right]
    made = {}
    for recipe in CONTROLS + ATTACKS:
        with stage(f"making {recipe.name} images") as progress:
            result = run_attack(
                recipe, classifier, images[right], digits[right], seed=seed, progress=progress
            )
        _write(result.images_8bit, kept, places.attacked / recipe.name)
        made[recipe.name] = result.parameters
    return made


def _write(images: Tensor, originals: list[Path], folder: Path) -> None:
    """Write images under the names and class folders of their originals."""
    for image, original in zip(images, originals, strict=True):
        path = folder / original.parent.name / original.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)


def _check(
    places: Places, guard: Guard, parameters: dict[str, dict[str, Any]], stage: Stage
) -> tuple[Group, ...]:
    """Let the guard judge the files, and record what it flags."""
    folders = {"clean": places.digits / "test"} | {name: places.attacked / name for name in parameters}
    attacks = {recipe.name for recipe in ATTACKS}
    model_id = guard.model_id
    groups = []
    with AuditStore.open(places.audit, images=places.audit_images) as store:
        for name, folder in folders.items():
            with stage(f"checking {name} images") as progress:
                verdicts = list(guard.check(folder, progress=progress))
            flagged = [verdict for verdict in verdicts if verdict.verdict == "attack"]
            store.record_all(((v, Path(v.path).read_bytes()) for v in flagged), model_id=model_id)
            truth = [Path(verdict.path).parent.name for verdict in verdicts]
            groups.append(Group(name, parameters.get(name, {}), name in attacks, truth, verdicts))
    return tuple(groups)
