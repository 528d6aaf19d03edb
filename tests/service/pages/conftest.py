"""A service with records of digits, clean and disturbed, that a person looks at."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.service.conftest import Service, Start

FLAGGED = 0.3
"""Share of calibration images below the threshold of the tests' service, so that some digits are flagged."""


def noisy(picture: bytes, seed: int) -> bytes:
    """Return a picture with so much noise that the guard flags it."""
    pixels = np.asarray(Image.open(BytesIO(picture)).convert("L"), dtype=float)
    noise = np.random.default_rng(seed).normal(0, 90, pixels.shape)
    content = BytesIO()
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def watched(start: Start, digits: Path, tmp_path: Path) -> Service:
    """A service on a guard file of its own, which has judged 12 clean and 12 noisy digits and recorded all."""
    guard = tmp_path / "guard.simdnn"
    guard.write_bytes((digits / "guard.simdnn").read_bytes())
    (tmp_path / "weights.safetensors").symlink_to(digits / "weights.safetensors")
    service = start(guard=guard, audit_images=str(tmp_path / "images"), record_all=True)
    for number in range(12):
        clean = sorted((digits / "test" / str(number % 10)).glob("*.png"))[number].read_bytes()
        for picture in (clean, noisy(clean, number)):
            reply = service.client.post(
                "/v1/check", headers=service.checker, files={"image": (f"{number}.png", picture, "image/png")}
            )
            assert reply.status_code == 200, reply.text
    return service
