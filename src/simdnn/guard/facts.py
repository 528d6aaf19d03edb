"""What a guard is, as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simdnn.networks.record import NetworkRecord
from simdnn.paper.prototypes import Prototype

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard


def guard_facts(guard: Guard) -> dict[str, Any]:
    """Return which networks a guard needs, how it decides, and what it was fitted on; none of its secrets."""
    settings, training = guard.settings, asdict(guard.training)
    return {
        "model_id": guard.model_id,
        "networks": [_network(record) for record in guard.networks],
        "auxiliary": None
        if guard.auxiliary is None
        else {
            "file": guard.auxiliary.file,
            "identity": guard.auxiliary.identity,
            "draws": guard.auxiliary.draws,
        },
        "classes": list(guard.classes),
        "prototypes": len(guard.model.prototypes),
        "rule": settings.rule,
        "alpha": settings.alpha,
        "threshold": guard.threshold(),
        "m": settings.m,
        "sigma": settings.sigma,
    } | training


def _network(record: NetworkRecord) -> dict[str, Any]:
    return {"spec": asdict(record.spec), "weights_hash": record.weights_hash}


def prototype_facts(guard: Guard, prototype: Prototype) -> dict[str, Any]:
    """Return a prototype's id, class, support, sigma, and the name of the training image that stands for it."""
    return {
        "id": prototype.id,
        "label": prototype.label,
        "support": prototype.support,
        "sigma": prototype.sigma,
        "exemplar": guard.exemplar(prototype.exemplar).name,
    }
