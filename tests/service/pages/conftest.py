"""A service with records of digits, clean and disturbed, that a person looks at."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.service.conftest import Service, Start

from simdnn.audit.shadow import ShadowLog

FLAGGED = 0.3
"""Share of calibration images below the threshold of the tests' service, so that some digits are flagged."""

OTHER = {"attack": "clean", "clean": "attack"}


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


@pytest.fixture
def compared(watched: Service) -> Service:
    """The same, with verdicts of a shadow: others on the noisy digits, and on an image that was not recorded."""
    rows = [
        {
            "time": record.time,
            "path": record.path,
            "image_sha256": record.image_sha256,
            "model_id": record.model_id,
            "verdict": record.verdict,
            "score": record.score,
            "p_value": record.p_value,
            "shadow_id": "5ad0e15ad0e15ad0",
            "shadow_verdict": OTHER[record.verdict] if record.id % 2 == 0 else record.verdict,
            "shadow_score": 0.5,
            "shadow_p_value": 0.25,
        }
        for record in reversed(watched.state.store.records())
    ]
    lost = {"path": "lost.png", "image_sha256": "0" * 64, "verdict": "clean", "shadow_verdict": "attack"}
    ShadowLog(watched.state.store).add([*rows, rows[0] | lost | {"time": datetime.now(UTC)}])
    return watched
