"""Time the auditor's queue at size: `python experiments/scripts/audit_at_size.py --records 100000`.

Fills a store with made-up verdicts, some labelled, and times what the queue asks for: the first page, pages deep in
it, and every filter, each the median of some repeats; counting, and an export, whose peak memory is measured beside
that of a tenth of it.
"""

from __future__ import annotations

import argparse
import tempfile
import tracemalloc
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rich.console import Console

from record import timed, write_record
from simdnn.audit.export import as_csv
from simdnn.audit.query import Selection
from simdnn.audit.records import Origin
from simdnn.audit.store import AuditStore
from simdnn.audit.summary import Summary
from simdnn.cli.progress import progress_bar
from simdnn.guard.verdict import Verdict

AT_ONCE = 1000
CLASSES, MODELS, TOKENS = 20, 3, 10
LABELLED = 0.05
PAGE = 48
"""Records on a page of the queue."""


def verdict(number: int, draw: Random) -> Verdict:
    """Make up a verdict: four of five are attacks."""
    return Verdict(
        path=f"{number}.png",
        verdict="attack" if draw.random() < 0.8 else "clean",
        label=f"class {draw.randrange(CLASSES)}",
        classifier_label=f"class {draw.randrange(CLASSES)}",
        score=-draw.expovariate(0.3),
        p_value=draw.random() ** 4,
        threshold=-3.0,
        prototype="class 0/0",
        rule="profile",
        image_sha256=f"{number:064x}",
    )


def fill(store: AuditStore, records: int) -> None:
    """Write records and labels."""
    draw = Random(0)
    with progress_bar("writing") as progress:
        for first in range(0, records, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, records))
            store.record_all(
                [(verdict(number, draw), None) for number in numbers],
                model_id=f"model {draw.randrange(MODELS)}",
                origins=[Origin(f"token {draw.randrange(TOKENS)}", f"{number}") for number in numbers],
            )
            progress(numbers[-1] + 1, records)
    chosen = draw.sample(range(1, records + 1), int(LABELLED * records))
    with progress_bar("labelling") as progress:
        for done, number in enumerate(chosen, 1):
            store.label(number, draw.choice(["attack", "clean", "unsure"]), by="alice")
            progress(done, len(chosen))


def filters() -> dict[str, Selection]:
    """Return the filters of the queue, alone and together."""
    now = datetime.now(UTC)
    return {
        "none": {},
        "flagged": {"verdict": "attack"},
        "labelled attack": {"label": "attack"},
        "not labelled": {"unlabelled": True},
        "one class": {"class_name": "class 3"},
        "one guard": {"model_id": "model 1"},
        "one token": {"token": "token 7"},
        "p-value at most 0.001": {"p_max": 0.001},
        "the last hour": {"since": now - timedelta(hours=1)},
        "no such class": {"class_name": "none"},
        "four together": {"verdict": "attack", "class_name": "class 3", "unlabelled": True, "p_max": 0.05},
    }


def pages(store: AuditStore, repeats: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of the first page of each filter, and of one 200 pages on, where there is one."""
    found: dict[str, dict[str, float]] = {}
    for name, only in filters().items():
        first = [timed(partial(store.page, size=PAGE, **only)) for _ in range(repeats)]
        found[name] = {"first page": median(first)}
        deep = next(islice(store.stream(**only), 200 * PAGE, None), None)
        if deep is not None:
            cursor = store.page(size=200 * PAGE, **only).next
            later = [timed(partial(store.page, after=cursor, size=PAGE, **only)) for _ in range(repeats)]
            found[name]["page 201"] = median(later)
    return found


def export_peak(store: AuditStore, limit: int) -> int:
    """Return the peak memory, in KiB, of an export as CSV."""
    tracemalloc.start()
    try:
        for _ in as_csv(store.stream(limit=limit)):
            pass
        return tracemalloc.get_traced_memory()[1] // 1024
    finally:
        tracemalloc.stop()


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--target", help="a database URL; default: SQLite in a temporary folder")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        AuditStore.open(options.target or Path(folder) / "audit.db") as store,
    ):
        fill(store, options.records)
        result: dict[str, Any] = {
            "records": options.records,
            "database": "PostgreSQL" if options.target else "SQLite",
            "repeats": options.repeats,
            "page": PAGE,
            "seconds": pages(store, options.repeats),
            "seconds_of_choices": median(timed(Summary(store).choices) for _ in range(options.repeats)),
            "seconds_of_count": timed(partial(store.count, verdict="attack")),
            "seconds_of_verify": timed(lambda: list(store.verify())),
            "export_peak_kib": {
                str(n): export_peak(store, n) for n in (options.records // 10, options.records)
            },
        }
    for name, seconds in result["seconds"].items():
        Console().print(name, {where: f"{1000 * value:.1f} ms" for where, value in seconds.items()})
    Console().print({key: value for key, value in result.items() if key != "seconds"})
    write_record("audit_at_size", result)


if __name__ == "__main__":
    main()
