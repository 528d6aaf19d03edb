"""``simdnn info``: what a guard is and what it needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simdnn.cli.options import AsJson, GuardFile, load_guard
from simdnn.cli.text import echo, shown

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard
    from simdnn.networks.record import NetworkRecord


def info(guard: GuardFile, as_json: AsJson = False) -> None:
    """Say which network, weights, preprocessing and classes a guard needs, and what it was fitted on."""
    facts = _facts(load_guard(guard))
    if as_json:
        echo(json.dumps(facts))
        return
    for name, value in _lines(facts):
        echo(shown(f"{name:<12} {value}"))


def _facts(guard: Guard) -> dict[str, Any]:
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


def _lines(facts: dict[str, Any]) -> list[tuple[str, object]]:
    """Put the facts as a person reads them."""
    lines: list[tuple[str, object]] = [("model id", facts["model_id"])]
    for network in facts["networks"]:
        spec, preprocess = network["spec"], network["spec"]["preprocess"]
        height, width = preprocess["size"]
        resized = (
            "whole image" if preprocess["resize"] is None else f"resized to {preprocess['resize']}, centre"
        )
        lines += [
            ("network", spec["name"]),
            ("layers", ", ".join(spec["layers"]) or "penultimate"),
            ("weights", spec["weights"] or "torchvision's, or as they come"),
            ("", f"SHA-256 {network['weights_hash']}"),
            ("images", f"{resized} {width} x {height}, {preprocess['interpolation']}"),
            ("", f"mean {list(preprocess['mean'])}, std {list(preprocess['std'])}"),
        ]
    if auxiliary := facts["auxiliary"]:
        lines += [
            ("opinion", f"{auxiliary['file'] or 'handed over'}, {auxiliary['draws']} draws of each image"),
            ("", f"SHA-256 {auxiliary['identity']}"),
        ]
    threshold = f"alpha {facts['alpha']}" if facts["rule"] != "published" else f"m {facts['m']}"
    return [
        *lines,
        ("classes", f"{len(facts['classes'])}: {', '.join(facts['classes'])}"),
        ("prototypes", f"{facts['prototypes']}, sigma {facts['sigma']}"),
        ("rule", f"{facts['rule']}, {threshold}, threshold {facts['threshold']:.4g}"),
        ("fitted on", f"{facts['data']}, {facts['created']}, seed {facts['seed']}"),
        (
            "",
            f"{facts['learned']} learned, {facts['calibrated']} calibrate, {len(facts['unreadable'])} not readable",
        ),
    ]
