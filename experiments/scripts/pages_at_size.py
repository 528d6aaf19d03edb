"""Time the auditor's pages at size, over HTTP: `python experiments/scripts/pages_at_size.py --records 100000`.

Fills a store as audit_at_size.py does, and the shadow's table with as many verdicts, serves it in a process of its own,
and asks for the queue (each filter, its first page and one 200 pages on), one image's page, rates, actions and the
comparison with the shadow, as an auditor does; each is the median of some repeats. Pictures are not included.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from urllib.parse import urlencode

import httpx
from rich.console import Console
from sqlalchemy import make_url

from audit_at_size import AT_ONCE, PAGE, fill
from record import timed, write_record
from service_process import served
from service_subjects import digits
from simdnn.audit.shadow import ShadowLog
from simdnn.audit.store import AuditStore
from simdnn.service.tokens import add_token

DIFFERENT = 0.01
"""Share of images on which guard and shadow differ."""
DEEP = 200


def fill_shadow(store: AuditStore, number: int) -> None:
    """Write verdicts of a shadow beside those of the guard in use."""
    draw, log = Random(1), ShadowLog(store)
    for first in range(0, number, AT_ONCE):
        rows: list[dict[str, Any]] = []
        for n in range(first, min(first + AT_ONCE, number)):
            own = "attack" if draw.random() < 0.05 else "clean"
            other = {"attack": "clean", "clean": "attack"}[own] if draw.random() < DIFFERENT else own
            row = {"time": datetime.now(UTC), "path": f"{n}.png", "image_sha256": f"{n:064x}", "score": 0.0}
            row |= {"p_value": 0.5, "shadow_score": 0.0, "shadow_p_value": 0.5}
            row |= {"model_id": "model 1", "shadow_id": "model 2", "verdict": own, "shadow_verdict": other}
            rows.append(row)
        log.add(rows)


def queries() -> dict[str, dict[str, Any]]:
    """Return the filters of the queue as its addresses have them."""
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    return {
        "all": {"verdict": "any"},
        "flagged": {},
        "labelled attack": {"label": "attack"},
        "not labelled": {"label": "none"},
        "one class": {"class": "class 3"},
        "one guard": {"model": "model 1"},
        "one token": {"token": "token 7"},
        "p-value at most 0.001": {"p_max": 0.001},
        "the last hour": {"since": hour_ago},
        "no such class": {"class": "none"},
        "three together": {"class": "class 3", "label": "none", "p_max": 0.05},
    }


def addresses(client: httpx.Client) -> dict[str, str]:
    """Return the addresses that are timed, by what they show."""
    found = {}
    for name, query in queries().items():
        found[f"queue, {name}"] = f"/queue?{urlencode(query)}"
        cursor, page = None, 0
        while page < DEEP:  # in steps of the largest page
            asked = query | {"limit": 20 * PAGE} | ({} if cursor is None else {"cursor": cursor})
            cursor = client.get("/queue.json", params=asked).raise_for_status().json()["next"]
            page += 20
            if cursor is None:
                break
        else:
            if cursor is not None:
                found[f"queue, {name}, page {DEEP + 1}"] = f"/queue?{urlencode(query | {'cursor': cursor})}"
    return found | {
        "one image": "/records/77?verdict=any",
        "label all that match": "/bulk",
        "rates": "/rates",
        "actions": "/actions",
        "shadow": "/shadow",
    }


def ask(client: httpx.Client, address: str) -> None:
    """Ask for a page."""
    client.get(address).raise_for_status()


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--target", help="a database URL; default: SQLite in a temporary folder")
    parser.add_argument("--dry", action="store_true", help="write no record")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = options.target or str(folder / "audit.db")
        with AuditStore.open(target) as store:
            fill(store, options.records)
            fill_shadow(store, options.records)
        digits(folder).guard.save(folder / "guard.simdnn")
        token = add_token(folder / "tokens.toml", "alice", "auditor")
        arguments = (folder / "guard.simdnn", "--audit", target, "--token-file", folder / "tokens.toml")
        with (
            served(*arguments) as (address, _),
            httpx.Client(
                base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60
            ) as client,
        ):
            seconds = {}
            for what, asked in addresses(client).items():
                job = partial(ask, client, asked)
                seconds[what] = median(timed(job) for _ in range(options.repeats))
                Console().print(f"{what}: {1000 * seconds[what]:.1f} ms")
    kind = make_url(options.target).get_backend_name() if options.target else "sqlite"
    if not options.dry:
        result = {"records": options.records, "database": kind, "repeats": options.repeats, "page": PAGE}
        write_record(f"pages_at_size_{kind}", result | {"seconds": seconds, "slowest": max(seconds.values())})


if __name__ == "__main__":
    main()
