"""The page on what a second opinion adds, from its records: `python experiments/scripts/opinion_tables.py`.

Records: `second_opinion_SUBJECT.json` of `second_opinion.py`, `certified_NETWORK.json` of `simdnn bench certify`, and
`opinion_speed.json` of `opinion_speed.py`; the page says which are not there.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from adaptive_attack_tables import share
from record_pages import is_there, read, table, write_page

SUBJECT = "mobilenet_v2"
COLUMNS = ("square 0.02", "saved again as JPEG 75")
CLEAN = ("clean", "noise 0.02", "sign noise 3/255", "sign noise 5/255")
TEN = "second_opinion_imagenette"
CIFAR = "second_opinion_cifar10"
CERTIFIED = f"certified_{SUBJECT}"
CERTIFIED_CIFAR = "certified_cifar10"
SPEED = "opinion_speed"
CONSISTENCY = "trained under noise alone, then for {} more epochs with consistency regularisation"
TRAINED = {
    "d694c2d0a1566d4d6c9dfde683382d24de02f55b0e36e6a1e0d63a33fb9db79a": "trained by distillation",
    "01da0d9730eb206682f1ffaa21086ae1323f1fab1f9e7f01ebe2e9abf1433b48": CONSISTENCY.format(13),
    "854fc7b8460f02fb8485b502c7ad81a43181206befc76f8b1d31c4b746342d7c": CONSISTENCY.format(6),
    "6cf17db27a51e126d01eb449386d167b318d8b8d4d312a91616d45b9dcddb46c": CONSISTENCY.format(6)
    + ", all in single precision",
    "63f771ca630a796711714adc270da7841cbe80b64de9bb00cdb8212af24f4434": "trained for 3 epochs under noise "
    "from ImageNet weights",
}
"""How an auxiliary network was trained, by its identity."""


def detection(record: dict[str, Any]) -> list[str]:
    """Return the rows of attacks: AUROC, and shares flagged at 5 % and 1 %."""
    heads = ["nine attacks: AUROC mean", "worst", "flagged at 5 %", "at 1 %"]
    for title in COLUMNS:
        heads += [f"{title}: AUROC", "at 5 %", "at 1 %"]
    rows = []
    for name, cells in (record["rules"] | record["joins"]).items():
        nine = cells["nine attacks"]
        values = [f"{nine['auroc_mean']:.4f}", f"{nine['auroc_worst']:.3f}"]
        values += [f"{100 * nine[f'flagged_{alpha}']:.1f}" for alpha in ("0.05", "0.01")]
        for column in COLUMNS:
            cell = cells[column]
            values += [
                f"{cell['auroc']['value']:.3f}",
                *(share(cell["flagged"][a]) for a in ("0.05", "0.01")),
            ]
        rows.append([name, *values])
    return table(["", *heads], rows)


def false_alarms(record: dict[str, Any]) -> list[str]:
    """Return the rows of images that nobody attacked: shares flagged at 5 %, and of clean ones at 1 %."""
    rows = []
    for name, cells in (record["rules"] | record["joins"]).items():
        values = [share(cells[column]["flagged"]["0.05"]) for column in CLEAN]
        rows.append([name, *values, share(cells["clean"]["flagged"]["0.01"])])
    return table(["", *CLEAN, "clean, at 1 %"], rows)


def certified(record: dict[str, Any]) -> list[str]:
    """Return the rows of a certificate, for each rule at false-alarm rates of 5 to 30 %."""
    heads = ["rule", "promised", "flagged", "votes needed", *(f"L2 {radius:g}" for radius in record["radii"])]
    rows = []
    for rule, rates in record["rules"].items():
        for at in rates:
            if at["alpha"] in (0.05, 0.1, 0.12, 0.15, 0.2, 0.3):
                values = [share(at["false_alarms"]), f"{at['votes_needed']} of {record['rule_draws']}"]
                values += [share(cell) for cell in at["certified"]]
                rows.append([f"`{rule}`", f"{100 * at['alpha']:.0f} %", *values])
    return table(heads, rows)


def certificate(name: str) -> list[str]:
    """Return what a record of `simdnn bench certify` says."""
    if not is_there(name):
        return ["Not measured."]
    record = read(name)
    return [
        f"{record['images']} images, a rule with {record['rule_draws']} draws, {record['certificate_draws']} "
        "draws for each certificate: the share, in %, that no attack of that size brings past the rule, known or not:",
        "",
        *certified(record),
    ]


def ten_outputs() -> list[str]:
    """Return what was measured on a network with an output for each class and no more."""
    record = read(TEN)
    return [f"Its auxiliary network was {TRAINED[record['auxiliary']]}.", "", *detection(record)]


def cifar10() -> list[str]:
    """Return the section on CIFAR-10."""
    if not is_there(CIFAR):
        return ["## CIFAR-10", "", "Not measured.", ""]
    record = read(CIFAR)
    n = record["rules"]["profile"]["clean"]["n"]
    return [
        "## CIFAR-10",
        "",
        "A ResNet-18 on images of 32 pixels enlarged to 64 (`train_cifar10_resnet18_second_opinion.json`); the "
        "auxiliary network is another under noise of 0.12 at 32 pixels, which it enlarges to 64, "
        f"{TRAINED[record['auxiliary']]}. It is wrong on about a quarter of clean images, so that at 5 % of false "
        "alarms no number of votes is asked for: **here a second opinion costs detection, and the profile alone finds "
        "more**. "
        f"The guard learned {record['learned']} images and is calibrated on {record['calibrated']}; {n} test images:",
        "",
        *detection(record),
        "",
        "Shares flagged of images that nobody attacked, at a promised 5 %:",
        "",
        *false_alarms(record),
        "",
        "Certified detection, in L2 of the 64-pixel image:",
        "",
        *certificate(CERTIFIED_CIFAR),
        "",
    ]


def speed(record: dict[str, Any]) -> list[str]:
    """Return the rows of time."""
    columns = ["second-opinion", "second-opinion, early", "profile+opinion", "profile+opinion, early"]
    heads = ["protected network", *columns, f"certificate of {record['certificate_draws']} draws, one image"]
    rows = []
    for name, found in record["networks"].items():
        ratios = found["ratio_to_bare_network"]
        cells = [f"{ratios[column]:.2f}" if column in ratios else "-" for column in columns]
        rows.append([name, *cells, f"{median(found['certificate_seconds']):.1f} s"])
    return table(heads, rows)


def page() -> list[str]:
    """Return the lines of the page."""
    measured = read(f"second_opinion_{SUBJECT}")
    draws, n = measured["draws"], measured["rules"]["profile"]["clean"]["n"]
    lines = [
        "# What a second opinion adds",
        "",
        "MobileNetV2 on photographs of ten ImageNet classes; the auxiliary network is a ResNet-18 under "
        f"noise of 0.25 at 112 pixels, {TRAINED[measured['auxiliary']]} if nothing else is said. The guard learned "
        f"{measured['learned']} photographs and is calibrated on {measured['calibrated']}; it takes {draws} "
        "draws. Attacks are white-box on MobileNetV2, saved with 8 bits; those that fool it count. Neither "
        f"network has seen the {n} test photographs. Intervals are of 95 %. `make tables` writes this page "
        "from the records.",
        "",
        "## Detection",
        "",
        "The first three rows are rules of the product, the others are ways to join profile and second "
        "opinion that were tried. Shares are in %.",
        "",
        "**A network with an output for each class and no more**: MobileNetV2 with the ten outputs of "
        "these classes. An attack that fools it ends in another of them:",
        "",
        *(ten_outputs() if is_there(TEN) else ["Not measured."]),
        "",
        "**A network with further outputs**: MobileNetV2 with its 1000. Many of these attacks end in an "
        "output that stands for none of the ten classes, and leave the class that the guard asks about "
        "right. The second opinion then agrees, rightly; only the profile sees such an attack, and it has "
        "a tenth of the false alarms where both are joined. So here the profile alone finds more. Against "
        "an attacker who knows the guard, only the second opinion proves anything "
        "([certificate.md](certificate.md)):",
        "",
        *detection(measured),
        "",
        "## Images that nobody attacked",
        "",
        "MobileNetV2 with 1000 outputs; shares flagged at a promised 5 %, in %:",
        "",
        *false_alarms(measured),
        "",
        "## Certified detection",
        "",
    ]
    lines += [f"The auxiliary network was {TRAINED[read(CERTIFIED)['auxiliary']]}.", ""]
    lines += [*certificate(CERTIFIED), "", *cifar10()]
    lines += ["## Time", ""]
    if not is_there(SPEED):
        return [*lines, "Not measured; `python experiments/scripts/opinion_speed.py --auxiliary FILE` does."]
    timed = read(SPEED)
    lines += [
        "Over the time of the protected network, files read included, at level `light` (8 draws), and early: "
        "`check --early` at level `standard`, which gives the verdict of 32 draws and takes as few as decide it. "
        f"Medians of {timed['repeats']} repeats on {timed['n']} photographs, {timed['hardware']['threads']} threads. "
        "Random weights take no other time than trained ones but with `--early`, which is left out there:",
        "",
        *speed(timed),
    ]
    return lines


if __name__ == "__main__":
    write_page("second-opinion.md", page(), __doc__)
