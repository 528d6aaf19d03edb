"""Load the network of a plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from simdnn.errors import WeightsError
from simdnn.evaluation.plan import NetworkPlan
from simdnn.networks.backbone import Backbone, load_backbone


def load_network(
    plan: NetworkPlan, base: Path, layers: Iterable[str] = (), dataset_folder: Path | None = None
) -> Backbone:
    """Load the network of a plan.

    Parameters
    ----------
    plan : settings of the network
    base : folder at which a relative path of the weights starts
    layers : names of the modules whose outputs are the features
    dataset_folder : replaces ``{dataset}`` in the path of the weights

    Raises
    ------
    WeightsError
        If the weights are missing or do not fit, or their path names a variable that is not set.
    """
    if "$" in plan.weights:
        raise WeightsError(f"{plan.row}: the weights {plan.weights} name a variable that is not set")
    weights = base / plan.weights.replace("{dataset}", str(dataset_folder)) if plan.weights else None
    return load_backbone(
        plan.backbone,
        weights,
        layers,
        mean=plan.mean,
        std=plan.std,
        size=plan.size,
        resize=plan.resize,
    )
