"""Load the network of a plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from simdnn.errors import InputError, WeightsError
from simdnn.evaluation.class_outputs import class_outputs
from simdnn.evaluation.datasets import Dataset
from simdnn.evaluation.plan import NetworkPlan
from simdnn.networks.backbone import Backbone, load_backbone


def load_network(
    plan: NetworkPlan,
    base: Path,
    layers: Iterable[str] = (),
    *,
    dataset: Dataset | None = None,
    folder: Path | None = None,
) -> Backbone:
    """Load the network of a plan.

    Parameters
    ----------
    plan : settings of the network
    base : folder at which a relative path of the weights starts
    layers : names of the modules whose outputs are the features
    dataset : its folder replaces ``{dataset}`` in the path of the weights, its classes decide which outputs are kept
    folder : where weights with only the classes' outputs are written

    Raises
    ------
    InputError
        If only the classes' outputs are to be kept, and there is no dataset, folder or file of weights.
    WeightsError
        If the weights are missing or do not fit, or their path names a variable that is not set.
    """
    if "$" in plan.weights:
        raise WeightsError(f"{plan.row}: the weights {plan.weights} name a variable that is not set")
    home = "" if dataset is None else str(dataset.folder)
    weights = base / plan.weights.replace("{dataset}", home) if plan.weights else None
    if plan.classes_only:
        if weights is None or dataset is None or folder is None:
            raise InputError(f"{plan.row}: classes_only needs a file of weights")
        outputs = [dataset.outputs[label] for label in dataset.classes]
        weights = class_outputs(plan.backbone, weights, outputs, folder)
    return load_backbone(
        plan.backbone,
        weights,
        layers,
        mean=plan.mean,
        std=plan.std,
        size=plan.size,
        resize=plan.resize,
    )
