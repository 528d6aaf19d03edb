"""One image on its way to a verdict."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256

from simdnn.guard.verdict import Verdict
from simdnn.images.limits import ReadLimits
from simdnn.images.reading import decoded
from simdnn.networks.prepare import Prepared, checked_pixels
from simdnn.networks.voter import Pixels
from simdnn.service.models import Model
from simdnn.service.near import perceptual_hash


@dataclass(frozen=True)
class Upload:
    """An image as it came: the name that the client gave it, made printable, and a file's bytes or pixels."""

    name: str
    content: bytes | Pixels


@dataclass(frozen=True)
class Question:
    """How a request wants its images judged, and whose it is.

    Attributes
    ----------
    rule, alpha : in place of the guard's own
    token : name of who asks
    request_id : of the request
    """

    rule: str | None
    alpha: float | None
    token: str
    request_id: str


@dataclass(frozen=True)
class Answer:
    """The verdict on an image, the guard that gave it, and the number of its record; None where none was written."""

    verdict: Verdict
    model_id: str
    record: int | None = None


@dataclass(eq=False)
class Job:
    """One image that waits for its verdict.

    Attributes
    ----------
    upload, question : what was asked
    model : the guard that judges it: the one in use when it came
    prepared : its pixels
    seen : its perceptual hash; None where nobody looks at it
    arrived : time of a monotonic clock
    future : gets the answer
    """

    upload: Upload
    question: Question
    model: Model
    prepared: Prepared
    seen: int | None
    arrived: float = field(default_factory=time.monotonic)
    future: Future[Answer] = field(default_factory=Future)

    @property
    def data(self) -> bytes | None:
        """The file's bytes; None for pixels."""
        return self.upload.content if isinstance(self.upload.content, bytes) else None

    @property
    def bytes_key(self) -> str:
        """Equal for the same image alone."""
        content = self.upload.content
        return (
            self.prepared.image_sha256
            or sha256(content if isinstance(content, bytes) else content.tobytes()).hexdigest()
        )


def prepared_job(
    upload: Upload, question: Question, model: Model, limits: ReadLimits, *, hashed: bool
) -> Job:
    """Decode an image for a guard's networks; ImageReadError if it cannot be read."""
    preprocesses = [backbone.spec.preprocess for backbone in model.guard.extractor.backbones]
    content = upload.content
    if isinstance(content, bytes):
        with decoded(content, limits) as picture:
            pixels = tuple(preprocess.pixels(picture) for preprocess in preprocesses)
        prepared = Prepared(0, pixels, image_sha256=sha256(content).hexdigest())
    else:
        prepared = Prepared(0, tuple(checked_pixels(content, p.size) for p in preprocesses))
    seen = perceptual_hash(prepared.pixels[0]) if hashed else None
    return Job(upload, question, model, prepared, seen)
