"""Does the service notice attacks that ask it, and no clean traffic? `python experiments/scripts/near_duplicates.py`.

Square (by scores) and HopSkipJump (by decisions) attack scikit-learn's digits, or photographs, by asking the running
service through the client, one image after the other; clean images come from a token of their own. For each attack the
record has how many queries it took until the first alarm; for clean traffic, how many alarms there were. Scores and
decisions are those that the service gives: the label, and the rule's score where the label stands.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from record import write_record
from service_process import metric, served
from simdnn.attacks.attack import Attack
from simdnn.attacks.hopskipjump import HopSkipJump
from simdnn.attacks.square import Square
from simdnn.client import Client
from simdnn.digits import IN_UNITS, train_network, write_digits
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor

ALARMS = "simdnn_near_duplicate_alarms_total"
NETWORK = "simdnn.networks.digits:digits_network"


class Service(nn.Module):
    """The service as a network: images in, logits out that say the label, less sure the lower the score."""

    def __init__(self, client: Client, address: str, classes: list[str]) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)  # attacks ask for the device
        self.client = client
        self.address = address
        self.classes = classes
        self.queries = 0
        self.before = metric(address, ALARMS)
        self.first_alarm: int | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Ask about each image."""
        logits = torch.zeros(len(images), len(self.classes))
        for row, image in enumerate(images):
            verdict = self.client.check(as_png(image))
            self.queries += 1
            place = self.classes.index(str(verdict.classifier_label))
            logits[row, place] = 1 + 1 / (1 + abs(verdict.score or 0.0))
            if self.first_alarm is None and metric(self.address, ALARMS) > self.before:
                self.first_alarm = self.queries
        return logits


def as_png(image: Tensor) -> bytes:
    """Return an image file of (3, H, W) pixels in [0, 1]."""
    content = BytesIO()
    levels = (image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(content, "PNG")
    return content.getvalue()


def digits(folder: Path) -> tuple[Guard, list[Path], list[str]]:
    """Return a guard of the scanned digits, clean images, and the names of the outputs."""
    write_digits(folder)
    train_network(folder / "network", folder / "weights.safetensors")
    backbone = load_backbone(
        NETWORK, folder / "weights.safetensors", size=SIDE, mean=IN_UNITS.mean, std=IN_UNITS.std
    )
    guard = Guard.fit(folder / "train", Extractor([backbone]), view_seed=0)
    return guard, find_images([folder / "test"]), [str(digit) for digit in range(10)]


def photographs(data: Path) -> tuple[Guard, list[Path], list[str]]:
    """Return a guard of photographs, clean images, and the names of the outputs."""
    half = (0.5, 0.5, 0.5)
    backbone: Backbone = load_backbone(
        "mobilenet_v2", data / "weights" / "mobilenet_v2.safetensors", mean=half, std=half
    )
    guard = Guard.fit(data / "imagenette224" / "train", Extractor([backbone]), rule="similarity")
    names = guard.networks[0].categories or guard.classes
    return guard, find_images([data / "imagenette224" / "val"]), list(names)


def attacked(attack: Attack, service: Service, image: Tensor) -> dict[str, Any]:
    """Attack one image by asking the service; how many queries, and the first that raised an alarm."""
    with torch.no_grad():
        label = service(image[None]).argmax(dim=1)
        attack.perturb(service.eval(), image[None], label, torch.Generator().manual_seed(0))
    return {"attack": attack.name, "queries": service.queries, "first_alarm": service.first_alarm}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", choices=("digits", "photographs"), default="digits")
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--attacked", type=int, default=10)
    parser.add_argument("--clean", type=int, default=500)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--number", type=int, default=20, help="near-duplicates that raise an alarm")
    parser.add_argument("--dry", action="store_true", help="write no record")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        guard, paths, names = digits(folder) if options.images == "digits" else photographs(options.data)
        guard.save(folder / "guard.simdnn")
        preprocess = guard.networks[0].spec.preprocess
        step = max(len(paths) // max(options.clean, options.attacked), 1)
        chosen = paths[::step]
        attacks: list[Attack] = [Square(eps=0.05, queries=options.queries), HopSkipJump(steps=2, queries=20)]
        # the service remembers; each attack asks one that has seen nothing before
        found = []
        for attack in attacks:
            for path in chosen[: options.attacked]:
                with (
                    served(folder / "guard.simdnn", "--near-duplicates", options.number) as (address, _),
                    Client(address) as client,
                ):
                    service = Service(client, address, names)
                    found.append(attacked(attack, service, preprocess(read_image(path))))
        with (
            served(folder / "guard.simdnn", "--near-duplicates", options.number) as (address, _),
            Client(address) as client,
        ):
            clean = len(list(client.check_many(chosen[: options.clean])))
            alarms = metric(address, ALARMS)
    result = {
        "images": options.images,
        "near_duplicates": options.number,
        "attacks": found,
        "clean": {"n": clean, "alarms": alarms},
    }
    print(result)
    if not options.dry:
        write_record(f"near_duplicates_{options.images}", result)


if __name__ == "__main__":
    main()
