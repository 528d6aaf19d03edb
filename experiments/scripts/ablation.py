"""Ablation of the profile rule: `python experiments/scripts/ablation.py --network mobilenet_v2`.

It uses photographs of the training folder only, and attacks of other strengths than those that the tables report. The
profile's sources, views and layers were chosen by its results.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import roc_auc_score
from torch import Tensor

from local_networks import NETWORKS
from record import write_record
from simdnn.attacks import make_attack, run_attack
from simdnn.attacks.attack import predict
from simdnn.cli.progress import progress_bar
from simdnn.conformal.joint import JointThreshold
from simdnn.conformal.split import ConformalThreshold
from simdnn.images.corruptions import CORRUPTIONS, corrupt
from simdnn.images.files import labelled_images
from simdnn.images.reading import read_image
from simdnn.images.shifts import Shift
from simdnn.networks.backbone import load_backbone
from simdnn.networks.batch import Batch
from simdnn.networks.classifier import Classifier
from simdnn.networks.extractor import Extractor
from simdnn.networks.spec import PENULTIMATE
from simdnn.paper.model import SimilarityModel
from simdnn.rules.clean_profile import CleanProfile
from simdnn.rules.inputs import RuleInput
from simdnn.rules.profile import ProfileRule
from simdnn.rules.sources import SOURCES, Measured

ATTACKS = (
    {"attack": "fgsm", "eps": 0.015},
    {"attack": "fgsm", "eps": 0.03},
    {"attack": "pgd", "eps": 0.005, "steps": 10},
    {"attack": "pgd", "eps": 0.015, "steps": 10},
    {"attack": "ddn", "steps": 30},
    {"attack": "ddn", "steps": 80},
)
EARLIER = {"mobilenet_v2": "features.17", "resnet18": "layer3"}
"""A layer before the penultimate one."""
OTHER_VIEWS = {
    "mirrored": (Shift(mirror=True),),
    "rotated by 5 degrees": (Shift(angle=5.0), Shift(angle=-5.0)),
    "shifted by 8 pixels": (Shift(right=8, down=-8), Shift(right=-8, down=8)),
}


class Extracted:
    """Features and logits of images, and of all views that are tried."""

    def __init__(self, found: Batch, views: list[Shift], widths: dict[str, slice]) -> None:
        self.found, self.views, self.widths = found, views, widths

    def part(self, views: tuple[Shift, ...], layer: str) -> Batch:
        """Return what a guard with these views extracts at this layer."""
        rows, columns = [self.views.index(view) for view in views], self.widths[layer]
        return replace(
            self.found,
            features=self.found.features[:, columns],
            view_features=self.found.view_features[:, rows, columns],
            view_logits=self.found.view_logits[:, rows],
        )


def measure(
    extracted: dict[str, Extracted],
    labels: NDArray[np.str_],
    views: tuple[Shift, ...],
    layer: str,
    *left_out: str,
) -> dict[str, object]:
    """Fit a profile of some views at a layer, without the sources ``left_out``; return AUROC and share flagged."""
    parts = {name: one.part(views, layer) for name, one in extracted.items()}
    model = SimilarityModel.learn(parts["learned"].features, labels)
    inputs = {name: RuleInput.of(part, model) for name, part in parts.items()}
    ordinary = np.setdiff1d(np.arange(len(labels)), [p.exemplar for p in model.prototypes])
    profile = CleanProfile.learn(Measured.of(inputs["learned"].take(ordinary)))
    kept = {source.name: source.weight for source in SOURCES if source.name not in left_out}
    scores = {}
    for name, one in inputs.items():
        deviations = profile.deviations(Measured.of(one))
        weighted = [kept[s] * np.maximum(d, 0) ** 2 for s, d in deviations.items() if s in kept]
        scores[name] = -np.sqrt(np.sum(weighted, axis=0))
    clean = scores["calibration"]
    mixture = np.concatenate([clean, scores["corrupted"]])
    at_5, at_1 = (
        JointThreshold(ConformalThreshold(clean, alpha), ConformalThreshold(mixture, alpha)).offset
        for alpha in (0.05, 0.01)
    )
    columns = {
        name: {
            "auroc": float(
                roc_auc_score(
                    np.repeat([1, 0], [len(scores["clean"]), len(own)]),
                    np.concatenate([scores["clean"], own]),
                )
            ),
            "flagged_5": float((own < at_5).mean()),
            "flagged_1": float((own < at_1).mean()),
        }
        for name, own in scores.items()
        if name not in ("learned", "calibration", "corrupted", "clean")
    }
    return {
        "columns": columns,
        "clean_flagged_5": float((scores["clean"] < at_5).mean()),
        **{
            f"mean_{k}": float(np.mean([c[k] for c in columns.values()]))
            for k in ("auroc", "flagged_5", "flagged_1")
        },
        "worst_auroc": min(c["auroc"] for c in columns.values()),
    }


def main() -> None:
    """Attack, extract all features once, and measure with and without each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", choices=list(EARLIER), default="mobilenet_v2")
    parser.add_argument("--images", type=int, default=100, help="to attack")
    parser.add_argument("--outputs", default="0,217,482,491,497,566,569,571,574,701", help="of the classes")
    options = parser.parse_args()
    log = Console(soft_wrap=True).print
    mean = NETWORKS[options.network]
    weights = options.data / "weights" / f"{options.network}.safetensors"
    backbone = load_backbone(options.network, weights, mean=mean, std=mean)
    early = EARLIER[options.network]
    both = load_backbone(options.network, weights, mean=mean, std=mean, layers=[early, PENULTIMATE])

    paths, labels = labelled_images(options.data / "imagenette224" / "train")
    names, order = np.array(labels), np.random.default_rng(11).permutation(len(paths))
    rows = {"test": order[:400], "calibration": order[400:900], "learned": order[900:1700]}

    def pixels(part: NDArray[np.intp]) -> Tensor:
        return torch.stack([both.spec.preprocess(read_image(paths[i])) for i in part])

    outputs = dict(zip(sorted(set(labels)), map(int, options.outputs.split(",")), strict=True))
    test = pixels(rows["test"])
    truth = torch.tensor([outputs[names[i]] for i in rows["test"]])
    classifier = Classifier(backbone)
    correct = torch.nonzero(predict(classifier, test) == truth)[: options.images, 0]
    draw, changes = torch.Generator().manual_seed(0), cycle(CORRUPTIONS)
    images: dict[str, Tensor] = {
        "learned": pixels(rows["learned"]),
        "calibration": pixels(rows["calibration"]),
        "clean": test,
    }
    images["corrupted"] = torch.stack(
        [corrupt(next(changes), image, draw) for image in images["calibration"][::2]]
    )
    for settings in ATTACKS:
        with progress_bar(str(settings)) as progress:
            made = run_attack(
                make_attack(settings),
                classifier,
                test[correct],
                truth[correct],
                batch_size=20,
                progress=progress,
            )
        name = " ".join(str(value) for value in settings.values())
        images[name] = made.images_8bit[made.success_8bit]
        log(f"{name}: {len(images[name])} of {len(correct)} fool the network")

    drawn = ProfileRule.draw_views("full", 3)
    views = [*drawn, *(view for pair in OTHER_VIEWS.values() for view in pair)]
    extractor = Extractor([both])
    extracted = {}
    for name, batch in images.items():
        with progress_bar(f"views of {name}") as progress:
            found = extractor.extract(list(batch), progress, views=tuple(views))
        width = backbone.n_features
        end = found.features.shape[1]
        widths = {
            "penultimate": slice(end - width, end),
            "earlier": slice(0, end - width),
            "both": slice(0, end),
        }
        extracted[name] = Extracted(found, views, widths)

    known = names[rows["learned"]]
    trials: dict[str, Callable[[], dict[str, object]]] = {}

    def trial(name: str, views: tuple[Shift, ...], layer: str = "penultimate", *left_out: str) -> None:
        trials[name] = lambda: measure(extracted, known, views, layer, *left_out)

    trial("standard", drawn[:2])
    for source in SOURCES:
        trial(f"standard without {source.name}", drawn[:2], "penultimate", source.name)
    trial("light", drawn[:1])
    trial("full", drawn)
    for name, others in OTHER_VIEWS.items():
        trial(f"views {name}", others)
    for layer in ("earlier", "both"):
        trial(f"layer: {layer}", drawn[:2], layer)
    results = {name: job() for name, job in trials.items()}
    for name, result in results.items():
        log(
            name,
            {k: round(v, 4) for k, v in result.items() if isinstance(v, float)},
        )
    write_record(
        f"ablation_{options.network}",
        {
            "network": options.network,
            "attacks": [dict(settings) for settings in ATTACKS],
            "images": {name: len(batch) for name, batch in images.items()},
            "split": {name: len(part) for name, part in rows.items()},
            "earlier_layer": early,
            "seed": 11,
            "trials": results,
        },
    )


if __name__ == "__main__":
    main()
