"""Measure what a guard detects on attacked photographs: `python benchmarks/detection.py --network mobilenet_v2`.

Run `benchmarks/attacked.py` first. Every attack column is measured as floats and rounded to 8 bits, on the images that
the network classified rightly and the attack turned; harmless changes of all clean photographs are the control. The
record names the rule, and holds n, interval and seed of every figure.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torchvision.transforms.v2 import functional as change

from attacked import COLUMNS, NETWORKS, attacked, network, photographs
from record import write_record
from simdnn.features.cache import FeatureCache, default_cache
from simdnn.features.extract import Extractor
from simdnn.guard.detector import Guard
from simdnn.guard.verdict import Verdict
from simdnn.lab.attacks import round_to_levels
from simdnn.lab.intervals import auroc, rate
from simdnn.lab.outcome import Group, summarise


def controls(images: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield harmless changes of (N, 3, H, W) images in [0, 1], rounded to 8 bits as files would be."""
    drawn = torch.Generator().manual_seed(seed)
    side = images.shape[-1]
    for eps in (0.01, 0.02):
        noise = (2 * torch.rand(images.shape, generator=drawn) - 1) * eps
        yield f"noise {eps}", round_to_levels((images + noise).clamp(0, 1))
    smaller = change.resize(images, [side * 9 // 10] * 2, antialias=True)
    yield (
        "resized to 90 % and back",
        round_to_levels(change.resize(smaller, [side] * 2, antialias=True).clamp(0, 1)),
    )
    cropped = change.center_crop(images, [side * 9 // 10] * 2)
    yield "cropped to 90 %", round_to_levels(change.resize(cropped, [side] * 2, antialias=True).clamp(0, 1))
    yield "JPEG quality 75", torch.stack([jpeg(image, 75) for image in images])
    yield "brightness +15 %", round_to_levels((images * 1.15).clamp(0, 1))


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Write and read one (3, H, W) image as JPEG."""
    encoded = BytesIO()
    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(
        encoded, "JPEG", quality=quality
    )
    return torch.from_numpy(np.array(Image.open(encoded))).permute(2, 0, 1).float() / 255


def scores(verdicts: list[Verdict]) -> list[float]:
    """Return the verdicts' scores."""
    return [verdict.score for verdict in verdicts if verdict.score is not None]


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--store", type=Path, default=Path("build/attacked"))
    parser.add_argument("--rules", nargs="+", default=["profile", "similarity", "published"])
    parser.add_argument("--level", default="standard")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.data / "imagenette224"
    extractor = Extractor([network(options.network, options.data)], cache=FeatureCache(default_cache()))
    guard = Guard.fit(
        folder / "train",
        extractor,
        rule="profile",
        level=options.level,
        seed=options.seed,
        secret=options.seed,
    )
    images = photographs(folder / "val", extractor.backbones[0])
    result: dict[str, Any] = {
        "network": options.network,
        "level": options.level,
        "seed": options.seed,
        "rules": {},
    }
    for rule in options.rules:
        result["rules"][rule] = measure(guard, rule, images.pixels, images.labels, options)
    write_record(f"detection_{options.network}_{options.level}", result)


def measure(
    guard: Guard, rule: str, pixels: Tensor, labels: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the clean row, the controls and every attack column of one rule."""

    def judged(images: Tensor, alpha: float | None = None) -> list[Verdict]:
        return guard.check_tensors(images, rule=rule, alpha=alpha)

    clean = Group("clean", {}, False, labels, judged(pixels))
    strict = None if rule == "published" else guard.threshold(rule, alpha=0.01)
    rows: dict[str, Any] = {"clean": summarise(clean, clean).as_dict(), "controls": {}, "attacks": {}}
    for name, changed in track(list(controls(pixels, options.seed)), f"{rule}: controls"):
        flagged = sum(verdict.verdict == "attack" for verdict in judged(changed))
        rows["controls"][name] = {"n": len(labels), "flagged": rate(flagged, len(labels))._asdict()}
        print(rule, name, rows["controls"][name]["flagged"]["value"], flush=True)
    for column in track(list(COLUMNS), f"{rule}: attacks"):
        kept = attacked(options.network, column, options.store)
        for bits, success in (("float", kept["success"]), ("8 bits", kept["success_8bit"])):
            images = kept["images"] if bits == "float" else round_to_levels(kept["images"])
            truth = [labels[i] for i in kept["positions"]]
            verdicts = judged(images)
            turned = [verdict for verdict, yes in zip(verdicts, success.tolist(), strict=True) if yes]
            at_5 = sum(verdict.verdict == "attack" for verdict in turned)
            row = {
                "n": len(turned),
                "auroc": auroc(clean.scores, scores(turned), seed=options.seed)._asdict(),
                "detected_at_alpha": rate(at_5, len(turned))._asdict(),
                "eq_14": summarise(Group(column, {}, True, truth, verdicts), clean).as_dict()["detected"],
            }
            if strict is not None:
                row["detected_at_1_percent"] = rate(
                    sum(score < strict for score in scores(turned)), len(turned)
                )._asdict()
            rows["attacks"][f"{column}, {bits}"] = row
            print(
                rule,
                column,
                bits,
                row["n"],
                row["auroc"]["value"],
                row["detected_at_alpha"]["value"],
                flush=True,
            )
    areas = [row["auroc"]["value"] for row in rows["attacks"].values()]
    rows["mean_auroc"], rows["worst_auroc"] = float(np.mean(areas)), min(areas)
    found = [row["detected_at_alpha"]["value"] for row in rows["attacks"].values()]
    rows["mean_detected_at_alpha"] = float(np.mean(found))
    return rows


if __name__ == "__main__":
    main()
