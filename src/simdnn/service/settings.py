"""How a service runs: plain values, so that they reach worker processes as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from secrets import token_hex

from simdnn.errors import InputError
from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits

_POSITIVE = ("workers", "max_batch", "queue", "time_limit", "max_body", "max_parts", "session_hours")
_UNSIGNED = ("max_delay_ms", "rate", "near_duplicates", "near_distance", "near_window")


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    Attributes
    ----------
    guard : the guard file that is served
    runtime : a folder of the owner's alone, which all workers share while the service runs
    secret : of cookies and links; sessions end when it changes
    audit, audit_images : the audit store, and where its images are kept; None for none
    token_file : who may ask; None only where nobody but this machine can
    shadow : a second guard that judges every image without acting on it
    weights, trust, device, threads : as for :meth:`simdnn.guard.guard.Guard.load`; PyTorch's threads
    workers : processes that share the port
    max_batch : images that go through the networks together
    max_delay_ms : how long an image waits for others to come; 0 for not at all
    queue : images accepted and not yet answered; beyond it requests are refused
    time_limit : seconds that one request may take
    max_body, max_parts : bytes of one request, and images in it
    max_pixels : see :class:`simdnn.images.limits.ReadLimits`
    rate : images a minute that one token may ask about; 0 for no limit
    near_duplicates : queries of one token, each nearly equal to an earlier one, that raise an alarm; 0 for no alarm
    near_distance : bits of 64 in which the perceptual hashes of near-duplicates differ at most
    near_window : seconds after which a query is forgotten
    record_all : whether clean images are recorded, too
    session_hours : after which a person has to log in again
    start : id of this start of the service, the same in all workers

    Raises
    ------
    InputError
        If a value is out of range.
    """

    guard: Path
    runtime: Path
    secret: str
    audit: str | None = None
    audit_images: str | None = None
    token_file: Path | None = None
    shadow: Path | None = None
    weights: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    device: str | None = None
    threads: int | None = None
    workers: int = 1
    max_batch: int = 8
    max_delay_ms: float = 4.0
    queue: int = 256
    time_limit: float = 30.0
    max_body: int = 64 << 20
    max_parts: int = 256
    max_pixels: int = 50_000_000
    rate: float = 0.0
    near_duplicates: int = 20
    near_distance: int = 6
    near_window: float = 600.0
    record_all: bool = False
    session_hours: float = 12.0
    start: str = field(default_factory=token_hex)

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in _POSITIVE and not value > 0:
                raise InputError(f"expected {one.name} above 0, got {value}")
            if one.name in _UNSIGNED and not value >= 0:
                raise InputError(f"expected {one.name} of 0 or more, got {value}")
        if len(self.secret) < 16:
            raise InputError(
                "expected a secret of at least 16 characters, got a shorter one; leave it out for a new one"
            )

    @property
    def limits(self) -> ReadLimits:
        """Bounds on what reading images may take."""
        return ReadLimits(
            max_pixels=self.max_pixels,
            max_bytes=min(self.max_body, DEFAULT_LIMITS.max_bytes),
            pixels_in_flight=max(self.max_pixels, DEFAULT_LIMITS.pixels_in_flight),
        )
