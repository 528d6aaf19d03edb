"""Writing the record of a script: its results, with time, commit, versions and hardware."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from simdnn.evaluation.provenance import provenance

RECORDS = Path(__file__).parents[1] / "records"


def timed(job: Callable[[], object]) -> float:
    """Return the seconds that a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def processor() -> str:
    """Return the name of the processor, as the system gives it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def write_record(name: str, result: Mapping[str, Any]) -> Path:
    """Write ``experiments/records/<name>.json``: the result with time, commit, versions, hardware and threads."""
    source = provenance()
    source["hardware"] |= {"processor": processor(), "threads": torch.get_num_threads()}
    record = dict(result) | {"time": datetime.now(UTC).isoformat(timespec="seconds")} | source
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path
