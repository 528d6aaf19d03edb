"""Tables and figures of adaptive attacks from their records: `python experiments/scripts/adaptive_attack_tables.py`.

Writes `adaptive-attacks.md` and, where minimum norms were measured, `adaptive-attacks-<subject>.png` into a folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from adaptive_attacks import LIBRARIES, RADII, RECORDS, UNKNOWN_VIEWS
from adaptive_subjects import OPINION_ALPHAS, OPINIONS
from simdnn.evaluation.adaptive.symptoms import CONVERGED
from simdnn.evaluation.records import Records

TITLES = {
    "imagenette": "MobileNetV2 on photographs of ten ImageNet classes",
    "cifar10": "ResNet-18 on CIFAR-10",
}
NOTES = {
    "cifar10": "The first row is of a ResNet-18 trained for four epochs (78 % right on the test images, "
    "`train_cifar10_resnet18_four_epochs.json`), the others of one trained for three (74 %, "
    "`train_cifar10_resnet18.json`)."
}
"""What must be known to compare the rows of a subject."""
STALE = {
    "cifar10": "> **Stale.** All rows but those of a second opinion were measured with the threshold of the mixture of "
    "clean images and corrupted copies, before both p-values had to be small."
}
NAMES = {
    OPINIONS[0]: "Sim-DNN, profile and second opinion",
    OPINIONS[1]: "Sim-DNN, second opinion",
    "profile": "Sim-DNN, profile",
    "similarity": "Sim-DNN, similarity",
    "published": "Sim-DNN as published",
    "msp": "MSP",
    "energy": "energy",
    "mahalanobis": "Mahalanobis",
    "knn": "kNN",
}

ByCell = dict[tuple[str, str], dict[str, Any]]
"""Results by method and measurement."""


def share(cell: dict[str, float]) -> str:
    """Write a share with its interval, in %."""
    return f"{100 * cell['value']:.0f} ({100 * cell['low']:.0f} to {100 * cell['high']:.0f})"


def robust(results: ByCell, alpha: str) -> list[str]:
    """Return the rows of robust accuracy with rejection."""
    columns = (*RADII, UNKNOWN_VIEWS, *LIBRARIES)
    radii = [radius for radius in columns if any(m == radius for _, m in results)]
    rows = [f"| | {' | '.join(radii)} |", "|---" * (len(radii) + 1) + "|"]
    for method, name in NAMES.items():
        cells = [results.get((method, radius)) for radius in radii]
        found = [cell["robust_accuracy"].get(alpha) if cell else None for cell in cells]
        if any(found):
            shares = [share(rate) if rate else "-" for rate in found]
            rows.append(f"| {name} | {' | '.join(shares)} |")
    return rows


def black_box(results: ByCell) -> list[str]:
    """Return the rows of black-box attacks."""
    rows = [
        "| | transfer: misclassified | transfer: robust accuracy | HopSkipJump: n | median, network alone | "
        "median, network and detector | found |",
        "|---" * 7 + "|",
    ]
    for method, name in NAMES.items():
        transfer, decision = results.get((method, "transfer")), results.get((method, "decision-based"), {})
        if transfer or decision:
            cells = ["-", "-"]
            if transfer:
                cells = [f"{100 * transfer['misclassified']:.0f}", share(transfer["robust_accuracy"]["5 %"])]
            cells.append(str(decision.get("n", "-")))
            norms = (decision.get(key) for key in ("network", "network_and_detector"))
            cells += ["-" if norm is None else f"{norm:.2f}" for norm in norms]
            cells.append(str(decision.get("found_network_and_detector", "-")))
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows if len(rows) > 2 else []


def costs(results: ByCell) -> list[str]:
    """Return the rows of what a detector costs an attacker."""
    rows = ["| | n | network alone | network and detector | ratio |", "|---|---|---|---|---|"]
    for method, name in NAMES.items():
        if cell := results.get((method, "minimum norm")):
            both, ratio = cell["network_and_detector"], cell["ratio"]
            rows.append(
                f"| {name} | {cell['n']} | {cell['network']:.3f} | {both:.3f} | {ratio:.1f} |"
                if both is not None
                else f"| {name} | {cell['n']} | {cell['network']:.3f} | none found for most | - |"
            )
    return rows


def symptoms(results: ByCell) -> list[str]:
    """Return the rows of the symptoms of a broken evaluation."""
    rows: list[str] = []
    for method, name in NAMES.items():
        if checks := results.get((method, "symptoms")):
            rows = rows or [f"| | {' | '.join(checks)} |", "|---" * (len(checks) + 1) + "|"]
            cells = [
                _measured(check) + ("" if _passed(check) else " (**failed**)") for check in checks.values()
            ]
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _passed(check: dict[str, float]) -> bool:
    """Return whether a check passed; an attack that gains by more steps by today's bound, not that of its record.

    >>> _passed({"few": 0.15, "many": 0.5, "passed": True}), _passed({"n": 0, "of": 20, "passed": True})
    (False, True)
    """
    if "few" in check:
        return abs(check["many"] - check["few"]) <= CONVERGED
    return bool(check["passed"])


def _measured(check: dict[str, float]) -> str:
    """Write what one check measured.

    >>> _measured({"n": 0, "of": 20, "passed": True}), _measured({"few": 0.15, "many": 0.5, "passed": True})
    ('0 of 20', '0.15 with few, 0.5 with many')
    """
    if "of" in check:
        return f"{check['n']} of {check['of']}"
    if "few" in check:
        return f"{check['few']:g} with few, {check['many']:g} with many"
    return f"{check['share']:g}"


def draw(results: ByCell, title: str, path: Path) -> None:
    """Draw robust accuracy over the Euclidean radius."""
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    cells = {
        method: results[method, "minimum norm"] for method in NAMES if (method, "minimum norm") in results
    }
    lines = {"network alone": next(iter(cells.values()))["norms_network"]}
    lines |= {NAMES[method]: cell["norms_network_and_detector"] for method, cell in cells.items()}
    lines |= {
        f"{NAMES[method]}: certified": cell["certified_radii"]
        for method, cell in cells.items()
        if "certified_radii" in cell
    }
    end = 1.1 * max(norm for norms in lines.values() for norm in norms if norm is not None)
    for name, norms in lines.items():
        known = np.array([0.0, *(np.inf if norm is None else norm for norm in norms)])
        remain = 1 - np.arange(len(known)) / len(norms)
        axes.step(
            [*known[np.isfinite(known)], end],
            [*remain[np.isfinite(known)], remain[np.isfinite(known)][-1]],
            where="post",
            label=name,
            linestyle="--" if name.endswith(": certified") else "-",
        )
    axes.set(
        xlabel="Euclidean norm of the change",
        ylabel="robust accuracy of correctly classified images",
        title=title,
        xlim=(0, end),
        ylim=(0, 1.02),
    )
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def section(subject: str, title: str, output: Path) -> list[str]:
    """Return the lines on one subject, and write its figure; no lines where there are no records."""
    records = list(Records(RECORDS / f"adaptive_{subject}.jsonl"))
    if not records:
        return []
    results: ByCell = {(record["method"], record["measurement"]): record["result"] for record in records}
    attacks = ", ".join(sorted({name for record in records for name in record["attacks"]}))
    n = max(record["n"] for record in records)
    steps = sorted({str(record["steps"]) for record in records}, key=int)
    lines = [
        f"## {title}",
        "",
        f"Robust accuracy with rejection, in % at most, with 95 % intervals: the share of {n} test images or fewer "
        "that no attack tried here got misclassified and unflagged; a stronger attack may leave less. The attacks "
        f"({attacks}) have {', '.join(steps)} steps; each runs on the images that resisted those before it. They are "
        "white-box on network, detector and views; in a column with unknown views, on a surrogate with other views. A "
        "second opinion's draws are secret: attacks follow its mean over fresh draws, and an attack has succeeded when "
        "the guard in use passes it. APGD and Square attack network and detector as one classifier. Attacks aim at the "
        "threshold of 5 % of false alarms, or of 10 % where there is a row for it below; so do those of the smallest "
        "change and of the checks for symptoms.",
        "",
    ]
    lines += [STALE[subject], ""] if subject in STALE else []
    for alpha in OPINION_ALPHAS:
        if len(rows := robust(results, alpha)) > 2:
            lines += [f"Detectors flag {alpha} of clean images:", "", *rows, ""]
    lines += [NOTES[subject], ""] if subject in NOTES else []
    if len(rows := costs(results)) > 2:
        picture = f"adaptive-attacks-{subject}.png"
        draw(results, title, output / picture)
        lines += [
            "The smallest Euclidean change that a minimum-norm attack found, median over correctly classified images. "
            "A dashed line in the figure is the certificate, which no attack may go below:",
            "",
            *rows,
            "",
            f"![Robust accuracy over the norm of the change]({picture})",
            "",
        ]
    if rows := black_box(results):
        lines += [
            "Black-box attacks on detectors that flag 5 %: transfer of MI-FGSM at L-inf 8/255 from another network, in "
            "%; and HopSkipJump on verdicts alone, median Euclidean change, and for how many images one was found:",
            "",
            *rows,
            "",
        ]
    if rows := symptoms(results):
        lines += [
            "Checks for symptoms of a broken evaluation, shares at L-inf 0.01 and without a bound:",
            "",
            *rows,
            "",
        ]
    return lines


def main() -> None:
    """Write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    output = parser.parse_args().output
    page = ["# Adaptive attacks", ""]
    for subject, title in TITLES.items():
        page += section(subject, title, output)
    (output / "adaptive-attacks.md").write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
