"""What the service counts, for Prometheus; no label has a value per image."""

from __future__ import annotations

import os
import re
from collections import deque
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from simdnn.guard.verdict import Verdict

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable under which several workers share what they count."""

_RECENT = 1000
"""Checks that the share of flagged images is about."""

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_OF_PROCESS = re.compile(r"_(\d+)\.db$")


class Metrics:
    """The service's metrics, in a registry of their own.

    Attributes
    ----------
    duration : seconds from an image's arrival to its verdict
    batch_size : images that went through the networks together
    queue_length : images accepted and not yet answered
    drift : natural log of the drift monitor's martingale; an alarm at log(100)
    near_duplicate_alarms, refused : how often, the latter by reason: queue, rate
    """

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self._checks = Counter("simdnn_checks", "Images checked.", ["verdict"], registry=own)
        self.duration = Histogram(
            "simdnn_check_duration_seconds",
            "Seconds from an image's arrival to its verdict.",
            buckets=_DURATIONS,
            registry=own,
        )
        self.batch_size = Histogram(
            "simdnn_batch_size",
            "Images that went through the networks together.",
            buckets=_SIZES,
            registry=own,
        )
        self.queue_length = Gauge(
            "simdnn_queue_length",
            "Images accepted and not yet answered.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._flagged = Gauge(
            "simdnn_flagged_share",
            f"Share of flagged images among the last {_RECENT} of a worker.",
            registry=own,
            multiprocess_mode="livemostrecent",
        )
        self.drift = Gauge(
            "simdnn_drift_log_martingale",
            "Natural log of the drift monitor's martingale; by chance it ever exceeds 4.6 with a probability of 1 %.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self._build = Gauge(
            "simdnn_build_info",
            "1 for the guard in use.",
            ["model_id"],
            registry=own,
            multiprocess_mode="livemax",
        )
        self.near_duplicate_alarms = Counter(
            "simdnn_near_duplicate_alarms", "Alarms about near-duplicate queries.", registry=own
        )
        self.refused = Counter("simdnn_refused", "Requests refused.", ["reason"], registry=own)
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        for kind in ("clean", "attack", "error"):
            self._checks.labels(kind)
        self._model_id: str | None = None

    def observe(self, verdict: Verdict, seconds: float) -> None:
        """Count one verdict."""
        self._checks.labels(verdict.verdict).inc()
        self.duration.observe(seconds)
        if verdict.verdict != "error":
            self._recent.append(verdict.verdict == "attack")
            self._flagged.set(sum(self._recent) / len(self._recent))

    def use(self, model_id: str) -> None:
        """Name the guard in use."""
        if self._model_id is not None:
            self._build.labels(self._model_id).set(0)
        self._build.labels(model_id).set(1)
        self._model_id = model_id

    def text(self) -> bytes:
        """Return all metrics, of all workers together, in Prometheus's text format."""
        folder = os.environ.get(FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        for file in Path(folder).glob("gauge_live*.db"):
            found = _OF_PROCESS.search(file.name)
            if found and not _lives(int(found[1])):
                mark_process_dead(int(found[1]), folder)  # type: ignore[no-untyped-call]
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
