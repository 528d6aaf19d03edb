"""Attack detectors by somebody who knows of them: `python experiments/scripts/aware.py --subject imagenette`.

One record for each detector and radius, written as it is done; what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file
from simdnn.evaluation.adaptive.baselines import SCORES
from simdnn.evaluation.adaptive.evaluate import cost, robust_accuracy, symptoms
from simdnn.evaluation.adaptive.images import Examined
from torch import Tensor, nn
from torch.nn.functional import interpolate

from record import processor
from simdnn.attacks.adaptive.module import Guarded, GuardedNetwork, PeerNetwork
from simdnn.attacks.mifgsm import MIFGSM
from simdnn.conformal.split import ConformalThreshold
from simdnn.evaluation.adaptive.black_box import decision_cost, transferred
from simdnn.evaluation.baselines import observe
from simdnn.evaluation.datasets import Dataset, Part, load_dataset
from simdnn.evaluation.plan import NetworkPlan, read_plan
from simdnn.evaluation.provenance import provenance
from simdnn.evaluation.records import Records, cell_key
from simdnn.guard.guard import Guard
from simdnn.guard.training import calibrating
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.cache import FeatureCache, default_cache
from simdnn.networks.extractor import Extractor
from simdnn.networks.weights import read_weights
from simdnn.rules.profile import draw_views

BENCHMARK = Path(__file__).parents[1] / "plans"
SUBJECTS = {"imagenette": ("MobileNet", 128, "ResNet"), "cifar10": ("ResNet (cifar10)", 64, "ShuffleNet")}
"""The row of the benchmark's plans, the side of the witness's images, the row whence attacks are carried over."""

ALPHAS = {"5 %": 0.05, "1 %": 0.01}
RADII = {"L-inf 0.01": ("inf", 0.01), "L-inf 8/255": ("inf", 8 / 255), "L2 1": ("2", 1.0)}
UNKNOWN_VIEWS = "L-inf 0.01 by other views"
"""The attacker knows all of the guard but its views, and tunes to those of a guard of his own."""

JOBS = (*RADII, UNKNOWN_VIEWS, "transfer", "decision", "cost", "symptoms")
METHODS = ("hardened", "profile", "similarity", "published", *SCORES)


class Resized(nn.Module):
    """A network on images of any size: (N, 3, H, W) in [0, 1] to logits."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Resize the images to what the network takes."""
        size = self.backbone.spec.preprocess.size
        if images.shape[-2:] != size:
            images = interpolate(images, size=size, mode="bilinear", antialias=True)
        logits: Tensor = self.backbone(images).logits
        return logits


class Subject:
    """A network that answers the dataset's classes and no others, its clean images, and those to attack."""

    def __init__(self, name: str, weights: Path) -> None:
        row, self.side, other = SUBJECTS[name]
        plan, more = (read_plan(BENCHMARK / f"{table}.toml") for table in ("table4", "table1"))
        rows = {n.row: n for n in (*more.networks, *plan.networks)}
        network = rows[row]
        self.dataset: Dataset = load_dataset(
            network.dataset, plan.datasets[network.dataset], BENCHMARK, default_cache().parent, seed=0
        )
        self.weights = weights
        self.backbone, self.other = self._load(network), Resized(self._load(rows[other]))
        self.witness = weights / "robust" / f"resnet18-{network.dataset}.safetensors"
        self.classes = self.dataset.classes

    def _load(self, network: NetworkPlan) -> Backbone:
        """Load the network; of one with more outputs than classes, keep those of the classes."""
        whole = network.load(BENCHMARK)
        if whole.n_classes == len(self.dataset.classes):
            return whole
        outputs = torch.tensor([self.dataset.outputs[label] for label in self.dataset.classes])
        assert whole.spec.weights is not None
        state = read_weights(Path(whole.spec.weights))
        for name in [n for n, t in state.items() if t.shape[:1] == (whole.n_classes,)]:
            state[name] = state[name][outputs].contiguous()
        cut = self.weights / f"{network.backbone}-{network.dataset}.safetensors"
        cut.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, cut)
        p = whole.spec.preprocess
        return load_backbone(network.backbone, cut, mean=p.mean, std=p.std, size=p.size)

    def load_witness(self) -> Backbone:
        """Load the second network of a hardened guard."""
        return load_backbone("resnet18", self.witness, size=self.side)

    def pixels(self, part: Part, rows: np.ndarray[Any, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Read images and the outputs that are right for them."""
        preprocess = self.backbone.spec.preprocess
        images = torch.stack([preprocess(read_image(part.paths[i])) for i in rows])
        return images, torch.tensor([self.classes.index(part.labels[i]) for i in rows])

    def examined(self, images: int) -> Examined:
        """Take the same number of test images of each class, and one learned image of each as a guide."""
        labels = np.array(self.dataset.test.labels)
        each = images // len(self.classes)
        rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in self.classes])
        known = np.array(self.dataset.fit.labels)
        guides = np.array([np.flatnonzero(known == label)[0] for label in self.classes])
        return Examined(*self.pixels(self.dataset.test, rows), *self.pixels(self.dataset.fit, guides))

    def guarded(self, method: str) -> tuple[Guarded, dict[str, float]]:
        """Fit a detector; return it as a module, with its thresholds."""
        if method in SCORES:
            return self._peer(method)
        rule = "profile" if method == "hardened" else method
        witness = self.load_witness() if method == "hardened" else None
        with FeatureCache(default_cache()) as cache, tempfile.TemporaryDirectory() as folder:
            extractor = Extractor([self.backbone], cache=cache, witness=witness)
            guard = Guard.fit(
                self.dataset.fit.write(Path(folder) / "fit.csv"), extractor, rule=rule, secret=0
            )
        module = GuardedNetwork(guard)
        if rule == "published":  # m deviations, whatever alpha is
            return module, dict.fromkeys(ALPHAS, guard.threshold())
        return module, {name: guard.threshold(alpha=alpha) for name, alpha in ALPHAS.items()}

    def _peer(self, method: str) -> tuple[Guarded, dict[str, float]]:
        part = self.dataset.fit
        images, labels = self.pixels(part, np.arange(len(part.paths)))
        out = torch.from_numpy(calibrating(np.array(part.labels), 0.2, 0))
        score = SCORES[method](observe(self.backbone, images[~out]), labels[~out].numpy())
        module = PeerNetwork(self.backbone, score, 0.0)
        with torch.no_grad():
            scores = torch.cat([module(batch).score for batch in torch.split(images[out], 50)])
        thresholds = {name: ConformalThreshold(scores, alpha).offset for name, alpha in ALPHAS.items()}
        module.threshold = thresholds["5 %"]
        return module, thresholds


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", choices=list(SUBJECTS), default="imagenette")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--attacks", default="selective,orthogonal,joint-1,matching")
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--fewer", type=int, default=50, help="images for cost and symptoms")
    parser.add_argument("--weights", type=Path, default=Path("build/weights"))
    parser.add_argument("--list", type=Path, help="write the images that guards learn as CSV, and stop")
    options = parser.parse_args()
    for given, known in ((options.methods, METHODS), (options.jobs, JOBS)):
        if unknown := set(given.split(",")) - set(known):
            parser.error(f"got {', '.join(unknown)}; known are {', '.join(known)}")
    say = Console(soft_wrap=True).print
    torch.manual_seed(0)
    records = Records(Path(__file__).parent / "records" / f"aware_{options.subject}.jsonl")
    subject = Subject(options.subject, options.weights)
    if options.list:
        subject.dataset.fit.write(options.list)
        return
    alone = PeerNetwork(subject.backbone, lambda logits, _: 0 * logits.sum(dim=1).double(), 0.0)
    attacks = options.attacks.split(",")
    for method in options.methods.split(","):
        made: tuple[Guarded, dict[str, float]] | None = None
        witness = {"witness": subject.load_witness().weights_hash} if method == "hardened" else {}
        for job in options.jobs.split(","):
            if job == UNKNOWN_VIEWS and method not in ("hardened", "profile"):
                continue
            radius = RADII.get(job, RADII["L-inf 0.01"] if job == UNKNOWN_VIEWS else None)
            many = options.images if radius or job == "transfer" else options.fewer
            examined = subject.examined(10 if job == "decision" else many)
            facts = {"subject": options.subject, "method": method, "job": job, "n": len(examined.images)}
            settings = {"steps": options.steps, "attacks": attacks} | witness
            key = cell_key(facts | settings | {"weights": subject.backbone.weights_hash})
            if records.has(key):
                continue
            made = made or subject.guarded(method)
            guarded, thresholds = made
            say(f"{method}, {job}")
            began = time.perf_counter()
            if radius:
                norm, eps = radius
                others = None
                if job == UNKNOWN_VIEWS:
                    assert isinstance(guarded, GuardedNetwork)
                    others = copy(guarded)
                    others.views = draw_views("standard", secret=1)
                found = robust_accuracy(
                    guarded,
                    examined,
                    thresholds,
                    eps=eps,
                    norm=norm,
                    steps=options.steps,
                    attacks=attacks,
                    stand_in=others,
                    aim=thresholds["5 %"] / 2 if others else None,
                    tell=say,
                )
                say(found["robust_accuracy"])
            elif job == "transfer":
                recipe = MIFGSM(eps=8 / 255)
                found = transferred(guarded, examined, subject.other, recipe, thresholds)
                say(found)
            elif job == "decision":
                found = decision_cost(alone, guarded, examined, thresholds["5 %"])
                say(found)
            elif job == "cost":
                found = cost(alone, guarded, examined, thresholds["5 %"], steps=2 * options.steps, tell=say)
            else:
                found = symptoms(guarded, examined, thresholds["5 %"], 0.01, options.steps)
                say(found)
            source = provenance()
            source["hardware"] |= {"processor": processor(), "threads": torch.get_num_threads()}
            records.add(
                {"key": key, **facts, **settings, "thresholds": thresholds, "seed": 0, "found": found}
                | {
                    "seconds": time.perf_counter() - began,
                    "time": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                | source
            )


if __name__ == "__main__":
    main()
