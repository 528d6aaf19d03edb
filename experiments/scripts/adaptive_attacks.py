"""Adaptive attacks on detectors: `python experiments/scripts/adaptive_attacks.py --subject imagenette`.

One record for each method and measurement, appended as it is done; what is recorded already is not measured again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from adaptive_subjects import METHODS, OPINION_ALPHAS, OPINIONS, SUBJECTS, Subject
from record import processor
from simdnn.attacks.adaptive.module import GuardedModel, GuardedNetwork
from simdnn.attacks.apgd import APGD
from simdnn.attacks.attack import Attack
from simdnn.attacks.mifgsm import MIFGSM
from simdnn.attacks.square import Square
from simdnn.evaluation.adaptive.black_box import decision_cost, library_attack, transfer_attack
from simdnn.evaluation.adaptive.evaluation_images import EvaluationImages
from simdnn.evaluation.adaptive.minimum_norm_cost import minimum_norm_cost
from simdnn.evaluation.adaptive.robust_accuracy import Log, robust_accuracy
from simdnn.evaluation.adaptive.symptoms import symptoms
from simdnn.evaluation.provenance import provenance
from simdnn.evaluation.records import Records, cell_key
from simdnn.rules.profile import ProfileRule

RECORDS = Path(__file__).parents[1] / "records"
LIBRARIES: dict[str, Attack] = {
    "APGD L-inf 0.01": APGD(0.01, steps=50),
    "Square L-inf 0.02": Square(0.02, queries=500),
}
RADII = {"L-inf 0.01": ("inf", 0.01), "L-inf 8/255": ("inf", 8 / 255), "L2 1": ("2", 1.0)}
UNKNOWN_VIEWS = "L-inf 0.01, unknown views"
"""The attacker knows all of the guard but its views, and attacks a surrogate with views of his own."""

MEASUREMENTS = (
    *RADII, UNKNOWN_VIEWS, *LIBRARIES, "transfer", "decision-based", "minimum norm", "symptoms",
)  # fmt: skip
FEW = ("minimum norm", "symptoms")
"""Measurements that are made on fewer images."""
HARDEST = 10
"""Images of the decision-based attack, which asks some thousand times each."""


def measure(
    measurement: str,
    subject: Subject,
    guarded: GuardedModel,
    clean: EvaluationImages,
    thresholds: dict[str, float],
    *,
    steps: int,
    attacks: Sequence[str],
    ranks: int,
    restarts: int,
    step_size: float,
    log: Log,
) -> dict[str, Any]:
    """Run one of `MEASUREMENTS` on one detector."""
    threshold = guarded.threshold
    if measurement in LIBRARIES:
        return library_attack(guarded, clean, LIBRARIES[measurement], thresholds)
    if measurement == "transfer":
        return transfer_attack(guarded, clean, subject.transfer_source, MIFGSM(eps=8 / 255), thresholds)
    if measurement == "decision-based":
        return decision_cost(subject.network_alone(), guarded, clean, threshold)
    if measurement == "minimum norm":
        alone = subject.network_alone()
        return minimum_norm_cost(alone, guarded, clean, threshold, steps=2 * steps, log=log)
    if measurement == "symptoms":
        return symptoms(guarded, clean, threshold, 0.01, steps)
    surrogate = None
    if measurement == UNKNOWN_VIEWS:
        assert isinstance(guarded, GuardedNetwork)
        surrogate = copy(guarded)
        surrogate.views = ProfileRule.draw_views("standard", 1)
    norm, eps = RADII["L-inf 0.01" if surrogate else measurement]
    return robust_accuracy(
        guarded,
        clean,
        thresholds,
        eps=eps,
        norm=norm,
        steps=steps,
        attacks=attacks,
        ranks=ranks,
        restarts=restarts,
        step_size=step_size,
        surrogate=surrogate,
        goal_score=threshold / 2 if surrogate else None,
        log=log,
    )


def main() -> None:
    """Measure, and append the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", choices=list(SUBJECTS), default="imagenette")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="NAME")
    parser.add_argument(
        "--measurements", nargs="+", choices=MEASUREMENTS, default=MEASUREMENTS, metavar="NAME"
    )
    parser.add_argument("--attacks", default="balanced,selective,orthogonal,joint-1,feature-matching")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--ranks", type=int, default=1, help="target classes, the likeliest first")
    parser.add_argument("--restarts", type=int, default=1, help="random starts for each target")
    parser.add_argument("--step-size", type=float, default=0.5, help="the first step, as a part of eps")
    parser.add_argument("--draws", type=int, default=4, help="fresh draws of the second opinion in each step")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--fewer", type=int, default=50, help="images for the minimum norm and the symptoms")
    parser.add_argument("--weights", type=Path, default=Path("build/weights"))
    parser.add_argument("--list", type=Path, help="write the images that guards learn as CSV, and stop")
    options = parser.parse_args()
    log = Console(soft_wrap=True).print
    torch.manual_seed(0)
    records = Records(RECORDS / f"adaptive_{options.subject}.jsonl")
    subject = Subject(options.subject, options.weights)
    if options.list:
        subject.dataset.fit.write(options.list)
        return
    source = provenance()  # of the code that runs, whatever happens to its files meanwhile
    source["hardware"] |= {"processor": processor(), "threads": torch.get_num_threads()}
    for method in options.methods:
        fitted: tuple[GuardedModel, dict[str, float]] | None = None
        auxiliary: dict[str, Any] = {}
        if method in OPINIONS:
            auxiliary = {
                "auxiliary": subject.load_auxiliary().identity,
                "draws_of_attack": options.draws,
                "attacked_at": next(iter(OPINION_ALPHAS)),
            }
        for measurement in options.measurements:
            if measurement == UNKNOWN_VIEWS and method not in (*OPINIONS, "profile"):
                continue
            many = options.fewer if measurement in FEW else options.images
            clean = subject.evaluation_images(HARDEST if measurement == "decision-based" else many)
            facts = {
                "subject": options.subject,
                "method": method,
                "measurement": measurement,
                "n": len(clean.images),
                "steps": options.steps,
                "attacks": options.attacks.split(","),
                "ranks": options.ranks,
                "restarts": options.restarts,
                "step_size": options.step_size,
                **auxiliary,
                "weights": subject.backbone.weights_hash,
            }
            key = cell_key(facts)
            if records.has(key):
                continue
            fitted = fitted or subject.guarded(method, options.draws)
            guarded, thresholds = fitted
            if method in OPINIONS:
                clean = subject.certified(guarded, clean)
            log(f"{method}, {measurement}")
            began = time.perf_counter()
            result = measure(
                measurement,
                subject,
                guarded,
                clean,
                thresholds,
                steps=options.steps,
                attacks=options.attacks.split(","),
                ranks=options.ranks,
                restarts=options.restarts,
                step_size=options.step_size,
                log=log,
            )
            log(result.get("robust_accuracy", result))
            records.add(
                {"key": key, **facts, "thresholds": thresholds, "seed": 0, "result": result}
                | {
                    "seconds": time.perf_counter() - began,
                    "time": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                | source
            )


if __name__ == "__main__":
    main()
