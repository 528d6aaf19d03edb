"""Make the README's picture of the auditor's page anew: `python experiments/scripts/auditor_picture.py`.

A service judges clean images and some that FGSM attacked, of scikit-learn's digits or (``--images photographs``) of
the photographs among the data; an auditor opens one that was flagged in a headless Chromium, and labels it by key.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from io import BytesIO
from pathlib import Path
from shutil import which

import httpx
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from service_process import served
from service_subjects import Subject, as_png, digits, photographs
from simdnn.attacks.fgsm import FGSM
from simdnn.client import Client
from simdnn.images.reading import read_image
from simdnn.networks.classifier import Classifier
from simdnn.service.tokens import add_token

PICTURE = Path(__file__).parents[2] / "docs" / "auditor.png"
WIDTH, HEIGHT = 1280, 800


def attacked(subject: Subject, path: Path, eps: float) -> bytes | None:
    """Return an image after FGSM as a PNG file; None where its class stays."""
    backbone = subject.guard.extractor.backbones[0]
    network = Classifier(backbone)
    image = backbone.spec.preprocess(read_image(path))[None]
    label = network(image).argmax(dim=1)
    found = FGSM(eps).perturb(network, image, label, torch.Generator())
    return None if network(found).argmax(dim=1) == label else as_png(found[0])


def fill(address: str, token: str, subject: Subject, folder: Path, number: int, eps: float) -> None:
    """Have clean images judged, and after each the same one attacked, if that changes its class."""
    step = max(len(subject.images) // number, 1)
    with Client(address, token) as client:
        for path in subject.images[::step][:number]:
            client.check(path)
            if (content := attacked(subject, path, eps)) is not None:
                file = folder / f"fgsm-{path.stem}.png"
                file.write_bytes(content)
                client.check(file)


def least_likely(address: str, token: str) -> int:
    """Return the number of the flagged attacked image with the lowest p-value."""
    headers = {"Authorization": f"Bearer {token}"}
    records = (
        httpx.get(f"{address}/queue.json?limit=1000", headers=headers).raise_for_status().json()["records"]
    )
    found = [record for record in records if record["path"].startswith("fgsm-")]
    if not found:
        raise SystemExit("expected an attacked image that was flagged, got none; choose another --eps")
    return int(min(found, key=lambda record: (record["p_value"], record["score"]))["id"])


def photograph(address: str, token: str, record: int) -> bytes:
    """Return a picture of the page of a record, once the auditor has labelled it an attack."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=which("chromium") or which("chromium-browser"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(f"{address}/login?next=/records/{record}")
        page.fill("input[name=token]", token)
        page.press("input[name=token]", "Enter")
        page.wait_for_selector(f"h1:has-text('Image {record}')")
        page.keyboard.press("a")
        page.wait_for_selector("button[value=attack][aria-pressed=true]")
        page.wait_for_load_state("networkidle")
        taken: bytes = page.screenshot(full_page=True)
        chromium.close()
        return taken


def main() -> None:
    """Serve, judge, label, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", choices=("digits", "photographs"), default="digits")
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--number", type=int, default=60, help="clean images that are judged")
    parser.add_argument("--eps", type=float, help="largest change of a pixel; default 0.1, photographs 4/255")
    parser.add_argument("-o", "--output", type=Path, default=PICTURE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = digits(folder) if options.images == "digits" else photographs(options.data)
        eps = options.eps or (0.1 if options.images == "digits" else 4 / 255)
        subject.guard.save(folder / "guard.simdnn")
        book = folder / "tokens.toml"
        camera, alice = add_token(book, "camera-1", "checker"), add_token(book, "alice", "auditor")
        audit = ("--audit", folder / "audit.db", "--audit-images", folder / "kept")
        with served(folder / "guard.simdnn", *audit, "--token-file", book) as (address, _):
            fill(address, camera, subject, folder, options.number, eps)
            taken = photograph(address, alice, least_likely(address, alice))
    Image.open(BytesIO(taken)).convert("RGB").quantize(256).save(options.output, optimize=True)
    print(options.output)


if __name__ == "__main__":
    main()
