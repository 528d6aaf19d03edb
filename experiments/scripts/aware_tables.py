"""What attackers who know reach, as tables and figures from the records: `python experiments/scripts/aware_tables.py`.

Writes `aware.md`, and `aware-<subject>.png` where the cost was measured, into the folder that is given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from aware import RADII, UNKNOWN_VIEWS
from simdnn.evaluation.records import Records

HERE = Path(__file__).parent / "records"
TITLES = {
    "imagenette": "MobileNetV2 on photographs of ten ImageNet classes",
    "cifar10": "ResNet-18 on CIFAR-10",
}
NAMES = {
    "hardened": "Sim-DNN, hardened",
    "profile": "Sim-DNN, profile",
    "similarity": "Sim-DNN, similarity",
    "published": "Sim-DNN as published",
    "msp": "MSP",
    "energy": "energy",
    "mahalanobis": "Mahalanobis",
    "knn": "kNN",
}

Found = dict[tuple[str, str], dict[str, Any]]
"""Records by method and job."""


def share(cell: dict[str, float]) -> str:
    """Write a share with its interval, in %."""
    return f"{100 * cell['value']:.0f} ({100 * cell['low']:.0f} to {100 * cell['high']:.0f})"


def robust(found: Found, alpha: str) -> list[str]:
    """Return the rows of robust accuracy with rejection."""
    jobs = [job for job in (*RADII, UNKNOWN_VIEWS) if any(j == job for _, j in found)]
    rows = [f"| | {' | '.join(jobs)} |", "|---" * (len(jobs) + 1) + "|"]
    for method, name in NAMES.items():
        cells = [found.get((method, job)) for job in jobs]
        if any(cells):
            told = [share(cell["found"]["robust_accuracy"][alpha]) if cell else "-" for cell in cells]
            rows.append(f"| {name} | {' | '.join(told)} |")
    return rows


def blind(found: Found) -> list[str]:
    """Return the rows of attackers who follow no slope of the guarded network."""
    rows = [
        "| | images carried over kept, 5 % | verdicts only: n | median without detector | with it | found |",
        "|---|---|---|---|---|---|",
    ]
    for method, name in NAMES.items():
        carried, decided = found.get((method, "transfer")), found.get((method, "decision"))
        if carried or decided:
            kept = share(carried["found"]["robust_accuracy"]["5 %"]) if carried else "-"
            cell = decided["found"] if decided else {}
            told = [f"{cell[k]:.2f}" if cell.get(k) else "-" for k in ("network", "network_and_detector")]
            some = cell.get("found_network_and_detector", "-")
            rows.append(f"| {name} | {kept} | {cell.get('n', '-')} | {' | '.join(told)} | {some} |")
    return rows if len(rows) > 2 else []


def costs(found: Found) -> list[str]:
    """Return the rows of what a detector costs an attacker."""
    rows = ["| | n | network alone | past the detector too | ratio |", "|---|---|---|---|---|"]
    for method, name in NAMES.items():
        if record := found.get((method, "cost")):
            cell = record["found"]
            both, ratio = cell["network_and_detector"], cell["ratio"]
            rows.append(
                f"| {name} | {cell['n']} | {cell['network']:.3f} | {both:.3f} | {ratio:.1f} |"
                if both is not None
                else f"| {name} | {cell['n']} | {cell['network']:.3f} | not found for most | - |"
            )
    return rows


def symptoms(found: Found) -> list[str]:
    """Return the rows of the signs of a broken evaluation."""
    rows: list[str] = []
    for method, name in NAMES.items():
        if record := found.get((method, "symptoms")):
            signs = record["found"]
            if not rows:
                rows = [f"| | {' | '.join(signs)} |", "|---" * (len(signs) + 1) + "|"]
            told = [
                ", ".join(f"{key} {value:g}" for key, value in sign.items() if key != "fine")
                + ("" if sign["fine"] else " (**not fine**)")
                for sign in signs.values()
            ]
            rows.append(f"| {name} | {' | '.join(told)} |")
    return rows


def draw(found: Found, title: str, path: Path) -> None:
    """Draw the share of images that remains, over the Euclidean radius."""
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    lines = {
        "network alone": next(r for (_, job), r in found.items() if job == "cost")["found"]["norms_network"]
    }
    lines |= {
        name: found[method, "cost"]["found"]["norms_network_and_detector"]
        for method, name in NAMES.items()
        if (method, "cost") in found
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
        )
    axes.set(
        xlabel="Euclidean norm of the change",
        ylabel="images that are not brought through",
        title=title,
        xlim=(0, end),
        ylim=(0, 1.02),
    )
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    options = parser.parse_args()
    page = ["# Attackers who know of the detector", ""]
    for subject, title in TITLES.items():
        path = HERE / f"aware_{subject}.jsonl"
        if not path.exists():
            continue
        found: Found = {(record["method"], record["job"]): record for record in Records(path)}
        some = next(iter(found.values()))
        ways = ", ".join(sorted({way for record in found.values() for way in record["attacks"]}))
        n = max(record["n"] for record in found.values())
        page += [f"## {title}", ""]
        page += [
            f"Robust accuracy with rejection, in %, with 95 % intervals: the share of {n} test images on which no "
            f"attack got a wrong answer through unflagged. The attacks, {ways}, have {some['steps']} steps each, and "
            "each gets what those before it left; white-box on network, detector and views (in a column by other "
            "views the attacker tunes to views of his own). Detectors flag 5 % of clean images:",
            "",
            *robust(found, "5 %"),
            "",
            "At 1 %:",
            "",
            *robust(found, "1 %"),
            "",
        ]
        if any(job == "cost" for _, job in found):
            picture = f"aware-{subject}.png"
            draw(found, title, options.output / picture)
            page += [
                "The smallest Euclidean change that was found, median over images that the network has right:",
                "",
                *costs(found),
                "",
                f"![Share of images not brought through, over the norm]({picture})",
                "",
            ]
        if rows := blind(found):
            page += [
                "Attackers who follow no slope of the guarded network: MI-FGSM at L-inf 8/255 on another network, what "
                "is kept in % (most images do not fool this network at all); and HopSkipJump on the verdicts, median "
                "Euclidean change:",
                "",
                *rows,
                "",
            ]
        if any(job == "symptoms" for _, job in found):
            page += [
                "Signs of a broken evaluation, shares at L-inf 0.01 and without a bound:",
                "",
                *symptoms(found),
                "",
            ]
    (options.output / "aware.md").write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
