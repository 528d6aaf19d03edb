"""``simdnn info``: what a guard is and what it needs."""

from __future__ import annotations

import json
from typing import Any

from simdnn.cli.options import AsJson, GuardFile, load_guard
from simdnn.cli.text import echo, shown
from simdnn.guard.facts import guard_facts


def info(guard: GuardFile, as_json: AsJson = False) -> None:
    """Say which network, weights, preprocessing and classes a guard needs, and what it was fitted on."""
    facts = guard_facts(load_guard(guard))
    if as_json:
        echo(json.dumps(facts))
        return
    for name, value in _lines(facts):
        echo(shown(f"{name:<12} {value}"))


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
