"""Measure whether noise is taken for an attack: `python experiments/scripts/noise.py`.

Two guards of each network, with one view seed: one calibrates with sign noise among its harmless corruptions, the other
without. Their scores are the same; only their thresholds differ. Attacked images are those that fooled the network
after rounding to 8 bits; the attacks are white-box, and the classes that they lead away from are the network's outputs
for the clean images.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from local_networks import NETWORKS, network
from record import write_record
from simdnn.arrays import FloatArray
from simdnn.attacks import Attack, predict, run_attack
from simdnn.attacks.registry import make_attack
from simdnn.cli.progress import progress_bar
from simdnn.evaluation.intervals import auroc, rate
from simdnn.guard.guard import Guard
from simdnn.images.corruptions import CORRUPTIONS, corrupt, generator_for
from simdnn.images.files import find_images
from simdnn.images.picture import picture_of
from simdnn.images.reading import read_image
from simdnn.networks.cache import FeatureCache
from simdnn.networks.classifier import Classifier
from simdnn.networks.extractor import Extractor
from simdnn.rules.inputs import RuleInput

ALPHAS = (0.01, 0.05)
NOISE = ("noise 0.02", "sign noise 3/255", "sign noise 5/255")
ATTACKS: dict[str, dict[str, Any]] = {
    "fgsm-0.01": {"attack": "fgsm", "eps": 0.01},
    "pgd-0.01": {"attack": "pgd", "eps": 0.01, "steps": 10},
    "ddn-60": {"attack": "ddn", "steps": 60},
}
ATTACKED, SEED, VIEW_SEED, BATCH = 60, 0, 0, 16


def write_images(folder: Path, images: Tensor, paths: list[Path]) -> list[Path]:
    """Write (N, 3, H, W) images in [0, 1], named by the photographs they were made from."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{path.parent.name}-{path.stem}.png" for path in paths]
    for image, path in zip(images, written, strict=True):
        picture_of(image).save(path)
    return written


def fitted(data: Path, extractor: Extractor, corruptions: list[str]) -> Guard:
    """Fit a guard that calibrates with these corruptions."""
    chosen = {name: CORRUPTIONS[name] for name in corruptions}
    with patch("simdnn.guard.calibration_images.CORRUPTIONS", chosen), progress_bar("fitting") as progress:
        return Guard.fit(
            data, extractor, seed=SEED, view_seed=VIEW_SEED, alpha=min(ALPHAS), progress=progress
        )


def inputs(guard: Guard, paths: list[Path]) -> RuleInput:
    """Return what the guard looks at of these files."""
    batch = guard.extractor.extract(paths, views=guard.rule.views)
    return RuleInput.of(batch, guard.model)


def sources(guard: Guard, seen: RuleInput) -> dict[str, float]:
    """Return the median deviation of each source; what is positive speaks for an attack."""
    each = guard.rule.explain(seen)
    return {name: round(float(np.median([one[name] for one in each])), 2) for name in each[0]}


def flagged(guards: Mapping[str, Guard], scores: FloatArray) -> dict[str, dict[str, Any]]:
    """Return the share that each guard flags at each alpha, with its interval."""
    return {
        name: {
            str(alpha): rate(int((scores < guard.threshold(alpha=alpha)).sum()), len(scores))._asdict()
            for alpha in ALPHAS
        }
        for name, guard in guards.items()
    }


def attacked(
    attack: Attack, extractor: Extractor, paths: list[Path], folder: Path
) -> tuple[list[Path], NDArray[np.bool_]]:
    """Attack photographs, once; returns the files, and which of them fooled the network."""
    classifier, preprocess = Classifier(extractor.backbones[0]), extractor.backbones[0].spec.preprocess
    clean = torch.stack([preprocess(read_image(path)) for path in paths])
    labels = predict(classifier, clean)
    if not folder.exists():
        with progress_bar(folder.name) as progress:
            result = run_attack(
                attack, classifier, clean, labels, seed=SEED, batch_size=BATCH, progress=progress
            )
        part = folder.with_name(f"{folder.name}.part")
        write_images(part, result.images_8bit, paths)
        part.rename(folder)
    files = [folder / f"{path.parent.name}-{path.stem}.png" for path in paths]
    pixels = torch.stack([preprocess(read_image(path)) for path in files])
    return files, (predict(classifier, pixels) != labels).numpy()


def measured(name: str, data: Path, folder: Path, cache: FeatureCache) -> dict[str, Any]:
    """Measure one network."""
    extractor = Extractor([network(name, data)], cache=cache)
    preprocess = extractor.backbones[0].spec.preprocess
    photographs = data / "imagenette224"
    guards = {
        "with sign noise": fitted(photographs / "train", extractor, list(CORRUPTIONS)),
        "without": fitted(
            photographs / "train", extractor, [c for c in CORRUPTIONS if not c.startswith("sign")]
        ),
    }
    guard = guards["with sign noise"]
    paths = find_images([photographs / "val"])
    seen = inputs(guard, paths)
    clean = guard.rule.score(seen)
    assert np.array_equal(clean, guards["without"].rule.score(seen)), "the guards differ in their scores"
    columns = {
        "clean": {"n": len(paths), "flagged": flagged(guards, clean), "deviations": sources(guard, seen)}
    }
    for change in NOISE:
        changed = torch.stack(
            [corrupt(change, preprocess(read_image(path)), generator_for(path.name, SEED)) for path in paths]
        )
        seen = inputs(guard, write_images(folder / name / change.replace("/", "_"), changed, paths))
        scores = guard.rule.score(seen)
        columns[change] = {
            "n": len(paths),
            "flagged": flagged(guards, scores),
            "auroc": auroc(clean, scores, seed=SEED)._asdict(),
            "deviations": sources(guard, seen),
        }
    spread = np.linspace(0, len(paths) - 1, ATTACKED).round().astype(int)
    for title, settings in ATTACKS.items():
        attack = make_attack(settings)
        files, fooled = attacked(attack, extractor, [paths[i] for i in spread], folder / name / title)
        seen = inputs(guard, files).take(np.flatnonzero(fooled))
        scores = guard.rule.score(seen)
        columns[title] = {
            "n": int(fooled.sum()),
            "attacked": len(files),
            "flagged": flagged(guards, scores),
            "auroc": auroc(clean, scores, seed=SEED)._asdict(),
            "deviations": sources(guard, seen),
        }
    return {
        "columns": columns,
        "thresholds": {
            which: {str(alpha): one.threshold(alpha=alpha) for alpha in ALPHAS}
            for which, one in guards.items()
        },
        "calibrated": guard.training.calibrated,
        "copies": int((~guard.calibration.clean).sum()),
        "learned": guard.training.learned,
    }


def main() -> None:
    """Measure and record, network by network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--folder", type=Path, default=Path("build/noise"), help="images, attacks, features")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    log = Console(soft_wrap=True).print
    for name in options.networks:
        with FeatureCache(options.folder / "features.sqlite") as cache:
            result = measured(name, Path(os.environ["SIMDNN_DATA"]), options.folder, cache)
        for column, values in result["columns"].items():
            log(name, column, values)
        write_record(
            f"noise_{name}",
            {"network": name, "seed": SEED, "view_seed": VIEW_SEED, "attacks": list(ATTACKS.values())}
            | result,
        )


if __name__ == "__main__":
    main()
