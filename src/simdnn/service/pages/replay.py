"""Images go through the networks again, and two guards that differ in their prototypes alone judge them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.audit.records import AuditRecord
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.guard import Guard
from simdnn.guard.judge import Judge
from simdnn.networks.batch import Batch

RECENT = 64
"""Recorded images that are judged again: the latest whose bytes are kept."""


def batches(guard: Guard, images: Sequence[bytes]) -> list[Batch]:
    """Return what a guard's networks give for images, batch by batch."""
    rule = guard.rule
    return list(guard.extractor.stream(list(images), views=rule.views, draws=guard.draws(rule)))


@dataclass
class Replay:
    """The latest recorded images as the networks see them, kept from one preview to the next."""

    _key: tuple[Any, ...] = ()
    _seen: list[Batch] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def compare(self, store: AuditStore, running: Guard, before: Judge, after: Judge) -> dict[str, Any]:
        """Return how many recorded images two judges call an attack, and which of them they differ on."""
        with self._lock:
            records, images = _kept(store)
            images_seen = tuple(record.image_sha256 for record in records)
            key = (images_seen, running.networks, running.auxiliary, running.rule.views)
            if self._key != key:
                self._seen, self._key = batches(running, images), key
            seen = self._seen
        flagged = [_flagged(judge, seen, len(records)) for judge in (before, after)]
        changed = np.flatnonzero(flagged[0] != flagged[1])
        return {
            "n": len(records),
            "before": int(flagged[0].sum()),
            "after": int(flagged[1].sum()),
            "changed": [records[i].id for i in changed],
        }


def compare_calibration(before: Judge, after: Judge) -> dict[str, Any]:
    """Return how many calibration images two judges, each with a threshold of its own, call an attack."""
    flagged = []
    for judge in (before, after):
        rule = judge.rule
        inputs = rule.calibration.inputs(rule.model)
        flagged.append(
            judge.threshold.judge(rule.score(inputs), rule.model.labels(inputs.similarities)).attack
        )
    return {
        "n": len(flagged[0]),
        "before": int(flagged[0].sum()),
        "after": int(flagged[1].sum()),
        "changed": int((flagged[0] != flagged[1]).sum()),
    }


def _kept(store: AuditStore) -> tuple[list[AuditRecord], list[bytes]]:
    records, images = [], []
    for record in store.stream(limit=4 * RECENT):
        try:
            data = store.image(record)
        except AuditError:  # `simdnn audit STORE verify` names it
            continue
        if data is not None and record.verdict != "error":
            records.append(record)
            images.append(data)
        if len(records) == RECENT:
            break
    return records, images


def _flagged(judge: Judge, seen: Sequence[Batch], n: int) -> NDArray[np.bool_]:
    flagged = np.zeros(n, dtype=bool)
    names = [str(i) for i in range(n)]
    for batch in seen:
        for verdict in judge(batch, names):
            flagged[int(verdict.path)] = verdict.verdict == "attack"
    return flagged
