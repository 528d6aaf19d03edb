"""The networks that adaptive attacks are measured on, with their images and detectors."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from simdnn.attacks.adaptive.module import BaselineNetwork, GuardedModel, GuardedNetwork
from simdnn.conformal.split import ConformalThreshold
from simdnn.evaluation.adaptive.baseline_scores import BASELINE_SCORES
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.scoring import predict_and_score
from simdnn.evaluation.baselines.inputs import baseline_input
from simdnn.evaluation.certified.summary import radii_of_counts
from simdnn.evaluation.datasets import Dataset, Part, load_dataset
from simdnn.evaluation.load_network import load_network
from simdnn.evaluation.plan import NetworkPlan
from simdnn.evaluation.plan_file import read_plan
from simdnn.guard.guard import Guard
from simdnn.images.reading import read_image
from simdnn.networks.auxiliary import AuxiliaryNetwork, read_auxiliary
from simdnn.networks.backbone import Backbone
from simdnn.networks.cache import FeatureCache, default_cache
from simdnn.networks.extractor import Extractor
from simdnn.networks.reduction import reduction_norm
from simdnn.networks.votes import count_votes
from simdnn.paper.holdout import calibration_mask

PLANS = Path(__file__).parents[1] / "plans"
SUBJECTS = {"imagenette": ("MobileNet", "ResNet"), "cifar10": ("ResNet (cifar10)", "shufflenet_v2_x1_0")}
"""The row of the benchmark's plans, and the transfer's source: a row, or another network trained as this one was."""

CERTIFICATE_DRAWS = 300
ALPHAS = {"5 %": 0.05, "1 %": 0.01}
OPINION_ALPHAS = {"10 %": 0.1} | ALPHAS
"""With few false alarms a second opinion asks for nothing where it is wrong on more clean images than these."""
OPINIONS = ("profile+opinion", "second-opinion")
METHODS = (*OPINIONS, "profile", "similarity", "published", *BASELINE_SCORES)


class Resized(nn.Module):
    """A network on images of any size: (N, 3, H, W) in [0, 1] to logits."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Resize the images to the network's size."""
        size = self.backbone.spec.preprocess.size
        if images.shape[-2:] != size:
            images = interpolate(images, size=size, mode="bilinear", antialias=True)
        logits: Tensor = self.backbone(images).logits
        return logits


class Subject:
    """A network whose outputs are the dataset's classes, and the dataset, with as many test images as asked."""

    def __init__(self, name: str, weights: Path, test_images: int | None = None) -> None:
        row, source = SUBJECTS[name]
        plan, more = (read_plan(PLANS / f"{table}.toml") for table in ("table4", "table1"))
        rows = {n.row: n for n in (*more.networks, *plan.networks)}
        network = rows[row]
        images = plan.datasets[network.dataset]
        if test_images is not None:
            images = replace(images, test_images=test_images)
        self.dataset: Dataset = load_dataset(network.dataset, images, PLANS, default_cache().parent, seed=0)
        self.weights = weights
        self.backbone = self._load(network)
        weights_of_source = network.weights.replace(network.backbone, source)
        self._source = rows.get(source) or replace(network, backbone=source, weights=weights_of_source)
        self.auxiliary_file = weights / f"second-{network.dataset}.safetensors"
        self.classes = self.dataset.classes

    def _load(self, network: NetworkPlan) -> Backbone:
        """Load the network; of one with more outputs than classes, keep those of the classes."""
        plan = replace(network, classes_only=True)
        return load_network(plan, PLANS, dataset=self.dataset, folder=self.weights)

    @cached_property
    def transfer_source(self) -> Resized:
        """The network that the transfer attack is computed on."""
        return Resized(self._load(self._source))

    def load_auxiliary(self) -> AuxiliaryNetwork:
        """Load the network of `simdnn train-auxiliary`."""
        return read_auxiliary(self.auxiliary_file)

    def pixels(self, part: Part, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Read images (N, 3, H, W) and their true outputs (N,)."""
        preprocess = self.backbone.spec.preprocess
        images = torch.stack([preprocess(read_image(part.paths[i])) for i in rows])
        return images, torch.tensor([self.classes.index(part.labels[i]) for i in rows])

    def evaluation_images(self, n: int) -> EvaluationImages:
        """Take the same number of test images of each class, and one training image of each as a guide."""
        labels = np.array(self.dataset.test.labels)
        each = n // len(self.classes)
        rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in self.classes])
        known = np.array(self.dataset.fit.labels)
        guides = np.array([np.flatnonzero(known == label)[0] for label in self.classes])
        return EvaluationImages(*self.pixels(self.dataset.test, rows), *self.pixels(self.dataset.fit, guides))

    def network_alone(self) -> GuardedModel:
        """Return the network with a detector that flags nothing."""
        return BaselineNetwork(self.backbone, lambda logits, _: 0 * logits.sum(dim=1).double(), 0.0)

    def certified(self, guarded: GuardedModel, clean: EvaluationImages) -> EvaluationImages:
        """Return the images with their radii as certified at the module's threshold."""
        assert isinstance(guarded, GuardedNetwork)
        assert guarded.auxiliary is not None
        assert guarded.secret_draws is not None
        assert guarded.rule.opinion is not None
        own = guarded.secret_draws
        counts = count_votes(guarded.auxiliary, clean.images, own.for_certificate(CERTIFICATE_DRAWS))
        radii = radii_of_counts(
            counts[:, list(guarded.rule.opinion.columns)],
            clean.labels.numpy(),
            draws=own.n,
            needed=guarded.rule.votes_needed(guarded.threshold, own.n),
            sigma=guarded.auxiliary.spec.sigma,
            norm=reduction_norm(*clean.images.shape[2:], guarded.auxiliary.spec.side),
        )
        return replace(clean, radii=torch.from_numpy(radii))

    def guarded(self, method: str, draws: int = 4) -> tuple[GuardedModel, dict[str, float]]:
        """Fit a detector; return it with the network, and its thresholds, the highest first.

        An attack on a second opinion takes so many fresh ``draws`` in each step.
        """
        if method in BASELINE_SCORES:
            return self._baseline(method)
        auxiliary = self.load_auxiliary() if method in OPINIONS else None
        with FeatureCache(default_cache()) as cache, tempfile.TemporaryDirectory() as folder:
            extractor = Extractor([self.backbone], cache=cache, auxiliary=auxiliary)
            guard = Guard.fit(
                self.dataset.fit.write(Path(folder) / "fit.csv"), extractor, rule=method, view_seed=0
            )
        module = GuardedNetwork(guard, draws=draws)
        if method == "published":  # m deviations, whatever alpha is
            return module, dict.fromkeys(ALPHAS, guard.threshold())
        alphas = OPINION_ALPHAS if method in OPINIONS else ALPHAS
        thresholds = {name: guard.threshold(alpha=alpha) for name, alpha in alphas.items()}
        module.threshold = next(iter(thresholds.values()))
        return module, thresholds

    def _baseline(self, method: str) -> tuple[GuardedModel, dict[str, float]]:
        part = self.dataset.fit
        images, labels = self.pixels(part, np.arange(len(part.paths)))
        out = torch.from_numpy(calibration_mask(np.array(part.labels), 0.2, 0))
        score = BASELINE_SCORES[method](baseline_input(self.backbone, images[~out]), labels[~out].numpy())
        module = BaselineNetwork(self.backbone, score, 0.0)
        _, scores = predict_and_score(module, images[out], 50)
        thresholds = {name: ConformalThreshold(scores, alpha).offset for name, alpha in ALPHAS.items()}
        module.threshold = thresholds["5 %"]
        return module, thresholds
