"""Does the service notice attacks that ask it, and no clean traffic? `python experiments/scripts/near_duplicates.py`.

Square (by scores) and HopSkipJump (by decisions) attack scikit-learn's digits, or photographs, by asking the running
service through the client, one image after the other, each with a token of its own until the first alarm; clean images
come from one further token. For each attack the record has how many queries it took until the first alarm, and for one
that ended without, whether it changed the label, and the guard's verdict on its image; for clean traffic, how many
alarms there were. Scores and decisions are those that the service gives: the label, and the rule's score where the
label stands.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from record import write_record
from service_process import metric, served
from service_subjects import as_png, digits, photographs
from simdnn.attacks.attack import Attack
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.attacks.square import Square
from simdnn.client import Client
from simdnn.images.reading import read_image
from simdnn.service.tokens import add_token


class EndedError(Exception):
    """There was an alarm, or the attack has asked as often as it may."""


class Service(nn.Module):
    """The service as a network: images in, logits out that say the label, less sure the lower the score."""

    def __init__(self, client: Client, classes: list[str], alarms: Callable[[], float], most: int) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)  # attacks ask for the device
        self.client = client
        self.classes = classes
        self.alarms = alarms
        self.before = alarms()
        self.most = most
        self.queries = 0
        self.first_alarm: int | None = None
        self.verdict: str | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Ask about each image."""
        logits = torch.zeros(len(images), len(self.classes))
        for row, image in enumerate(images):
            verdict = self.client.check(as_png(image))
            self.queries += 1
            self.verdict = verdict.verdict
            place = self.classes.index(str(verdict.classifier_label))
            logits[row, place] = 1 + 1 / (1 + abs(verdict.score or 0.0))
            if self.alarms() > self.before:
                self.first_alarm = self.queries
            if self.first_alarm is not None or self.queries >= self.most:
                raise EndedError
        return logits


def attacked(attack: Attack, service: Service, image: Tensor) -> dict[str, Any]:
    """Attack one image by asking the service; how many queries, and how it ended."""
    fooled, verdict = None, None
    with torch.no_grad(), suppress(EndedError):
        label = service(image[None]).argmax(dim=1)
        found = attack.perturb(service.eval(), image[None], label, torch.Generator().manual_seed(0))
        fooled = bool(service(found).argmax(dim=1) != label)
        verdict = service.verdict
    told = {"queries": service.queries, "first_alarm": service.first_alarm, "fooled": fooled}
    return {"attack": attack.name, "parameters": dict(vars(attack)), **told, "verdict": verdict}


def summary(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how many images each attack attacked, how many alarms there were, and after how many queries."""
    told = {}
    for name in dict.fromkeys(one["attack"] for one in found):
        runs = [one for one in found if one["attack"] == name]
        first = [one["first_alarm"] for one in runs if one["first_alarm"] is not None]
        told[name] = {
            "n": len(runs),
            "alarms": len(first),
            "fooled_unnoticed": sum(one["fooled"] is True for one in runs),
            "fooled_unnoticed_and_passed": sum(
                one["fooled"] is True and one["verdict"] == "clean" for one in runs
            ),
            "first_alarm_median": median(first) if first else None,
            "first_alarm_last": max(first, default=None),
        }
    return told


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", choices=("digits", "photographs"), default="digits")
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--attacked", type=int, default=10)
    parser.add_argument("--clean", type=int, default=500)
    parser.add_argument("--queries", type=int, default=200, help="of an attack at most")
    parser.add_argument("--number", type=int, default=20, help="near-duplicates that raise an alarm")
    parser.add_argument("--dry", action="store_true", help="write no record")
    options = parser.parse_args()
    attacks: list[Attack] = [Square(eps=0.05, queries=options.queries), HopSkipJump(steps=2, queries=20)]
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        guard, paths, names = digits(folder) if options.images == "digits" else photographs(options.data)
        guard.save(folder / "guard.simdnn")
        preprocess = guard.networks[0].spec.preprocess
        step = max(len(paths) // max(options.clean, options.attacked), 1)
        chosen = paths[::step]
        book = folder / "tokens.toml"
        watching = add_token(book, "watching", "checker")
        arguments = (
            folder / "guard.simdnn",
            "--token-file",
            book,
            "--near-duplicates",
            options.number,
            "--rate",
            0,
        )
        with served(*arguments) as (address, _):

            def alarms() -> float:
                return metric(address, "simdnn_near_duplicate_alarms_total", watching)

            for attack in attacks:
                for number, path in enumerate(chosen[: options.attacked]):
                    token = add_token(book, f"{attack.name}-{number}", "checker")
                    with Client(address, token) as client:
                        service = Service(client, names, alarms, options.queries)
                        found.append(attacked(attack, service, preprocess(read_image(path))))
            before = alarms()
            with Client(address, watching) as client:
                clean = len(list(client.check_many(chosen[: options.clean])))
            false_alarms = alarms() - before
    result = {
        "images": options.images,
        "near_duplicates": options.number,
        "most_queries": options.queries,
        "summary": summary(found),
        "attacks": found,
        "clean": {"n": clean, "alarms": false_alarms},
    }
    print({key: value for key, value in result.items() if key != "attacks"})
    if not options.dry:
        write_record(f"near_duplicates_{options.images}", result)


if __name__ == "__main__":
    main()
