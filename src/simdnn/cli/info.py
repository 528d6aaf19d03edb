"""``simdnn info``: what a guard is and what it needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from simdnn.cli.options import AsJson, GuardFile, load_guard
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.detector import Guard


def info(guard: GuardFile, as_json: AsJson = False) -> None:
    """Say which network, weights, preprocessing and classes a guard needs, and what it was fitted on."""
    facts = _facts(load_guard(guard))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if name == "networks":
            for network in value:
                typer.echo(
                    f"network      {network['spec']['name']}, layers {network['spec']['layers'] or 'penultimate'}"
                )
                typer.echo(f"weights      {network['spec']['weights'] or 'torchvision'}")
                typer.echo(f"             SHA-256 {network['weights_hash']}")
                typer.echo(f"preprocess   {network['spec']['preprocess']}")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            typer.echo(f"{name:<12} {shown}")


def _facts(guard: Guard) -> dict[str, Any]:
    model, training = guard.model, asdict(guard.training)
    facts: dict[str, Any] = {
        "model_id": guard.model_id,
        "networks": [
            {"spec": record.spec.as_dict(), "weights_hash": record.weights_hash} for record in guard.networks
        ],
        "classes": list(guard.classes),
        "prototypes": len(model.prototypes_),
        "rule": guard.rule,
        "alpha": model.alpha,
        "m": model.m,
        "sigma": model.sigma,
    }
    try:
        facts["threshold"] = guard.threshold()
    except InputError as error:  # too few calibration images for its own alpha: say so instead of a number
        facts["threshold"] = str(error)
    return facts | training | {"unreadable": list(training["unreadable"])}
