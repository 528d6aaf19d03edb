"""Leave parts of the profile out, one after the other: `python experiments/scripts/ablation.py --network mobilenet_v2`.

On photographs of the training folder only, part of which the guard learns from, and on attacks of other strengths than
those that the tables report: this is what the profile's sources, views and layers were chosen by.
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

from check_speed import NETWORKS
from record import write_record
from simdnn.attacks import make_attack, run_attack
from simdnn.attacks.attack import predict
from simdnn.cli.progress import progress_bar
from simdnn.conformal.split import ConformalThreshold
from simdnn.images.corruptions import CHANGES, apply
from simdnn.images.files import labelled_images
from simdnn.images.reading import read_image
from simdnn.images.shifts import View
from simdnn.networks.backbone import load_backbone
from simdnn.networks.classifier import Classifier
from simdnn.networks.extractor import Extraction, Extractor
from simdnn.networks.layers import PENULTIMATE
from simdnn.paper.estimator import SimDNN
from simdnn.rules.profile import compared, draw_views
from simdnn.rules.statistics import SOURCES, WEIGHTS, SimilarityProfile

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
    "mirrored": (View(mirror=True),),
    "turned by 5 degrees": (View(angle=5.0), View(angle=-5.0)),
    "moved by 8 pixels": (View(right=8, down=-8), View(right=-8, down=8)),
}


class Seen:
    """What the network gives of images and of all views that are tried, by view."""

    def __init__(self, found: Extraction, views: list[View], widths: dict[str, slice]) -> None:
        self.found, self.views, self.widths = found, views, widths

    def part(self, views: tuple[View, ...], layer: str) -> Extraction:
        """Return what a guard with these views, at this layer, would have seen."""
        rows, columns = [self.views.index(view) for view in views], self.widths[layer]
        return replace(
            self.found,
            features=self.found.features[:, columns],
            view_features=self.found.view_features[:, rows, columns],
            view_logits=self.found.view_logits[:, rows],
        )


def measure(
    seen: dict[str, Seen], labels: NDArray[np.str_], views: tuple[View, ...], layer: str, *out: str
) -> dict[str, object]:
    """Learn a profile of some views at a layer, without the sources ``out``; return AUROC and share flagged."""
    parts = {name: one.part(views, layer) for name, one in seen.items()}
    low, high = parts["learned"].features.min(axis=0), parts["learned"].features.max(axis=0)

    def similarity(model: SimDNN, part: Extraction) -> NDArray[np.float64]:
        return np.asarray(model.similarities(scaled(part)).max(axis=1))

    def scaled(part: Extraction) -> NDArray[np.float64]:
        return np.asarray((part.features - low) / np.maximum(high - low, 1e-9), dtype=np.float64)

    model = SimDNN(calibration=0.0).fit(scaled(parts["learned"]), labels)
    ordinary = np.setdiff1d(np.arange(len(labels)), [p.exemplar for p in model.prototypes_])
    told = compared(parts["learned"])[ordinary], similarity(model, parts["learned"])[ordinary]
    profile = SimilarityProfile.learn(*told)
    weights = np.array(WEIGHTS[:5]) * [source not in out for source in SOURCES[:5]]
    scores = {
        name: -np.sqrt(
            np.maximum(profile.shortfalls(compared(part), similarity(model, part)), 0) ** 2 @ weights
        )
        for name, part in parts.items()
    }
    calibration = np.concatenate([scores["calibration"], scores["changed"]])
    at_5, at_1 = (ConformalThreshold(calibration, alpha).offset for alpha in (0.05, 0.01))
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
        if name not in ("learned", "calibration", "changed", "clean")
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
    """Attack, look at everything once, and measure with and without each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", choices=list(EARLIER), default="mobilenet_v2")
    parser.add_argument("--images", type=int, default=100, help="to attack")
    parser.add_argument("--outputs", default="0,217,482,491,497,566,569,571,574,701", help="of the classes")
    options = parser.parse_args()
    say = Console(soft_wrap=True).print
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
    right = torch.nonzero(predict(classifier, test) == truth)[: options.images, 0]
    draw, changes = torch.Generator().manual_seed(0), cycle(CHANGES)
    images: dict[str, Tensor] = {
        "learned": pixels(rows["learned"]),
        "calibration": pixels(rows["calibration"]),
        "clean": test,
    }
    images["changed"] = torch.stack(
        [apply(next(changes), image, draw) for image in images["calibration"][::2]]
    )
    for settings in ATTACKS:
        with progress_bar(str(settings)) as progress:
            made = run_attack(
                make_attack(settings), classifier, test[right], truth[right], batch_size=20, progress=progress
            )
        name = " ".join(str(value) for value in settings.values())
        images[name] = made.images_8bit[made.success_8bit]
        say(f"{name}: {len(images[name])} of {len(right)} fool the network")

    usual = draw_views("full", secret=3)
    views = [*usual, *(view for pair in OTHER_VIEWS.values() for view in pair)]
    extractor = Extractor([both])
    seen = {}
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
        seen[name] = Seen(found, views, widths)

    known = names[rows["learned"]]
    trials: dict[str, Callable[[], dict[str, object]]] = {}

    def trial(name: str, views: tuple[View, ...], layer: str = "penultimate", *out: str) -> None:
        trials[name] = lambda: measure(seen, known, views, layer, *out)

    trial("standard", usual[:2])
    for source in SOURCES[:5]:
        trial(f"standard without {source}", usual[:2], "penultimate", source)
    trial("light", usual[:1])
    trial("full", usual)
    for name, others in OTHER_VIEWS.items():
        trial(f"views {name}", others)
    for layer in ("earlier", "both"):
        trial(f"layer: {layer}", usual[:2], layer)
    results = {name: job() for name, job in trials.items()}
    for name, result in results.items():
        say(
            name,
            {k: round(v, 4) for k, v in result.items() if isinstance(v, float)},
        )
    write_record(
        f"ablation_{options.network}",
        {
            "network": options.network,
            "attacks": [dict(settings) for settings in ATTACKS],
            "fooled": {name: len(batch) for name, batch in images.items()},
            "split": {name: len(part) for name, part in rows.items()},
            "earlier_layer": early,
            "seed": 11,
            "trials": results,
        },
    )


if __name__ == "__main__":
    main()
