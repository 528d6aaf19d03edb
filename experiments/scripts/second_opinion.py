"""What a second opinion adds: `python experiments/scripts/second_opinion.py --auxiliary second.safetensors`.

One guard of MobileNetV2 on photographs, or of a ResNet-18 on CIFAR-10 (`--subject cifar10`), with its default rule and
its parts; and other ways to join profile and second opinion, on the same images. Attacks are white-box on the protected
network, rounded to 8 bits; only images that fool it are counted. Nothing here chooses a threshold but the guard's own
clean calibration images. The attacks are made once and kept in the folder. MobileNetV2 has 1000 outputs; `--subject
imagenette` keeps only those of the ten classes, as a network of these classes has, so that every attack that fools it
ends in another of them.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from adaptive_subjects import SUBJECTS, Subject
from local_networks import network
from noise import attacked, write_images
from opinion_joins import joined_scores
from record import write_record
from simdnn.arrays import FloatArray
from simdnn.attacks import predict
from simdnn.attacks.registry import make_attack
from simdnn.cli.progress import progress_bar
from simdnn.conformal.threshold import Threshold
from simdnn.evaluation.intervals import auroc, rate
from simdnn.guard.guard import Guard
from simdnn.images.corruptions import corrupt, generator_for
from simdnn.images.reading import read_image
from simdnn.networks.auxiliary import read_auxiliary
from simdnn.networks.cache import FeatureCache
from simdnn.networks.classifier import Classifier
from simdnn.networks.extractor import Extractor
from simdnn.rules.inputs import RuleInput

NAME, SEED, VIEW_SEED = "mobilenet_v2", 0, 0
ALPHAS = (0.01, 0.05, 0.1)
RULES = ("profile+opinion", "profile", "second-opinion")
ATTACKS: dict[str, dict[str, Any]] = {
    **{f"fgsm {eps}": {"attack": "fgsm", "eps": eps} for eps in (0.01, 0.02, 0.04)},
    **{
        f"pgd {eps}": {"attack": "pgd", "eps": eps, "steps": 20, "step_size": eps / 8}
        for eps in (0.01, 0.02, 0.04)
    },
    **{f"ddn {steps}": {"attack": "ddn", "steps": steps} for steps in (20, 40, 60)},
    "square 0.02": {"attack": "square", "eps": 0.02, "queries": 500},
}
NINE = tuple(ATTACKS)[:9]
"""The paper's."""
CHANGES = ("noise 0.02", "sign noise 3/255", "sign noise 5/255")


def seen_by(guard: Guard, paths: list[Path]) -> RuleInput:
    """Return what the guard looks at of these files."""
    batch = guard.extractor.extract(
        paths, views=guard.rule.views, view_key="seed 0", draws=guard.draws(guard.rule)
    )
    return RuleInput.of(batch, guard.model)


def saved_as_jpeg(files: list[Path], folder: Path) -> list[Path]:
    """Save images again as JPEG of quality 75."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{path.stem}.jpg" for path in files]
    for source, target in zip(files, written, strict=True):
        with Image.open(source) as image:
            image.save(target, quality=75)
    return written


def still_fooling(extractor: Extractor, files: list[Path], paths: list[Path]) -> list[Path]:
    """Return the files, named by the photographs that they were made from, that the network still gets wrong."""
    classifier, preprocess = Classifier(extractor.backbones[0]), extractor.backbones[0].spec.preprocess

    def predicted(chosen: list[Path]) -> list[int]:
        return [int(predict(classifier, preprocess(read_image(path))[None])) for path in chosen]

    true = dict(zip([f"{path.parent.name}-{path.stem}" for path in paths], predicted(paths), strict=True))
    return [file for file, given in zip(files, predicted(files), strict=True) if given != true[file.stem]]


def images(extractor: Extractor, paths: list[Path], folder: Path, n: int) -> dict[str, list[Path]]:
    """Make all images, once; return the files of each column: the clean ones, those changed, those that fool."""
    preprocess = extractor.backbones[0].spec.preprocess
    columns = {"clean": paths}
    for change in CHANGES:
        pixels = torch.stack(
            [corrupt(change, preprocess(read_image(path)), generator_for(path.name, SEED)) for path in paths]
        )
        columns[change] = write_images(folder / change.replace("/", "_"), pixels, paths)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, n).round().astype(int)]
    again: list[Path] = []
    for title, settings in ATTACKS.items():
        files, fooled = attacked(make_attack(settings), extractor, chosen, folder / title)
        columns[title] = [file for file, fools in zip(files, fooled, strict=True) if fools]
        if title in NINE:
            again += saved_as_jpeg(columns[title], folder / f"{title}, JPEG")
    return columns | {"saved again as JPEG 75": still_fooling(extractor, again, chosen)}


def measured(guard: Guard, columns: dict[str, RuleInput]) -> dict[str, dict[str, Any]]:
    """Return, by rule and column, the shares flagged at each alpha and the AUROC against clean images."""
    found: dict[str, dict[str, Any]] = {}
    for name in RULES:
        rule = guard.rule_named(name)
        thresholds = {alpha: rule.threshold(alpha=alpha, m=guard.settings.m) for alpha in ALPHAS}
        scores = {column: np.asarray(rule.score(seen)) for column, seen in columns.items()}
        found[name] = table(scores, thresholds)
    return found


def table(scores: dict[str, FloatArray], thresholds: dict[float, Threshold]) -> dict[str, Any]:
    """Return rates and AUROC by column, and their means over the nine attacks."""

    def flagged(values: FloatArray) -> dict[str, Any]:
        return {
            str(alpha): rate(int(threshold.judge(values).attack.sum()), len(values))._asdict()
            for alpha, threshold in thresholds.items()
        }

    cells: dict[str, dict[str, Any]] = {
        column: {"n": len(values), "flagged": flagged(values)}
        | ({} if column == "clean" else {"auroc": auroc(scores["clean"], values, seed=SEED)._asdict()})
        for column, values in scores.items()
    }
    areas = [float(cells[column]["auroc"]["value"]) for column in NINE]
    return cells | {
        "nine attacks": {
            "auroc_mean": float(np.mean(areas)),
            "auroc_worst": min(areas),
            **{
                f"flagged_{alpha}": float(
                    np.mean([cells[column]["flagged"][str(alpha)]["value"] for column in NINE])
                )
                for alpha in ALPHAS
            },
        }
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--auxiliary", type=Path, help="the file of simdnn train-auxiliary; without it, only attack"
    )
    parser.add_argument("--subject", choices=[NAME, *SUBJECTS], default=NAME)
    parser.add_argument("--weights", type=Path, default=Path("build/weights"), help="of the subject")
    parser.add_argument(
        "--folder", type=Path, help="images, attacks, features (default: build/second/SUBJECT)"
    )
    parser.add_argument("--images", type=int, default=250, help="test images, the same number of each class")
    parser.add_argument("--attacked", type=int, default=100, help="photographs that are attacked")
    parser.add_argument("--level", default="standard")
    options = parser.parse_args()
    data = Path(os.environ["SIMDNN_DATA"])
    options.folder = options.folder or Path("build/second") / options.subject
    options.folder.mkdir(parents=True, exist_ok=True)
    subject = Subject(
        "cifar10" if options.subject == "cifar10" else "imagenette", options.weights, options.images
    )
    backbone = network(NAME, data) if options.subject == NAME else subject.backbone
    learned = subject.dataset.fit.write(options.folder / "fit.csv")
    paths = list(subject.dataset.test.paths)
    made = images(Extractor([backbone]), paths, options.folder, options.attacked)
    if options.auxiliary is None:
        return
    auxiliary = read_auxiliary(options.auxiliary)
    with FeatureCache(options.folder / "features.sqlite") as cache:
        extractor = Extractor([backbone], cache=cache, auxiliary=auxiliary)
        with progress_bar("fitting") as progress:
            guard = Guard.fit(
                learned,
                extractor,
                level=options.level,
                seed=SEED,
                view_seed=VIEW_SEED,
                alpha=min(ALPHAS),
                progress=progress,
            )
        guard.save(options.folder / "guard.simdnn")
        columns = {}
        for title, files in made.items():
            columns[title] = seen_by(guard, files)
            Console().print(title, len(files))
    result = {
        "network": backbone.spec.name,
        "outputs": backbone.n_classes,
        "auxiliary": auxiliary.identity,
        "level": options.level,
        "draws": guard.auxiliary.draws if guard.auxiliary else 0,
        "learned": guard.training.learned,
        "calibrated": guard.training.calibrated,
        "seed": SEED,
        "view_seed": VIEW_SEED,
        "attacks": ATTACKS,
        "rules": measured(guard, columns),
        "joins": {
            name: table(found.scores, found.thresholds) | {"share_needed": found.share_needed}
            for name, found in joined_scores(guard, columns, ALPHAS).items()
        },
    }
    for rule, found in (result["rules"] | result["joins"]).items():
        Console(soft_wrap=True).print(rule, found["nine attacks"], found["clean"]["flagged"])
    write_record(f"second_opinion_{options.subject}", result)


if __name__ == "__main__":
    main()
