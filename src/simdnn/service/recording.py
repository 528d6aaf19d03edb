"""Verdicts go into the audit store before they are answered."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from itertools import groupby
from queue import SimpleQueue
from threading import Thread

from simdnn.audit.records import Origin
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError, SimDNNError
from simdnn.guard.verdict import Verdict
from simdnn.service.jobs import Answer, Job
from simdnn.service.metrics import Metrics

_log = logging.getLogger(__name__)

Judged = tuple[Job, Verdict]


class Recorder:
    """Writes verdicts on a thread of its own, all that wait in one transaction, and answers them when they are on disk.

    What is not to be recorded is answered at once.

    Parameters
    ----------
    store : the audit store; None without one
    everything : whether clean images are recorded, too
    metrics : told every verdict
    """

    def __init__(self, store: AuditStore | None, metrics: Metrics, *, everything: bool) -> None:
        self._store = store
        self._everything = everything
        self._metrics = metrics
        self._waiting: SimpleQueue[list[Judged] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="simdnn-record", daemon=True)
        self._thread.start()

    def take(self, judged: Iterable[Judged]) -> None:
        """Take the verdicts of a batch."""
        kept = []
        for job, verdict in judged:
            if self._store is not None and (self._everything or verdict.verdict == "attack"):
                kept.append((job, verdict))
            else:
                self._answer(job, verdict, None)
        if kept:
            self._waiting.put(kept)

    def close(self) -> None:
        """Write what was taken, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (judged := self._waiting.get()) is not None:
            ended = False
            while not self._waiting.empty():
                more = self._waiting.get()
                ended = more is None
                judged += more or []
            for model_id, same in groupby(judged, key=lambda one: one[0].model.id):
                self._write(model_id, list(same))
            if ended:
                return

    def _write(self, model_id: str, judged: list[Judged]) -> None:
        assert self._store is not None
        try:
            numbers = self._store.record_all(
                [(verdict, job.data) for job, verdict in judged],
                model_id=model_id,
                origins=[Origin(job.question.token, job.question.request_id) for job, _ in judged],
            )
            for (job, verdict), number in zip(judged, numbers, strict=True):
                self._answer(job, verdict, number)
        except Exception as error:  # whatever a storage back end raises, the next verdicts are written
            own = isinstance(error, SimDNNError | OSError)
            _log.error("%d verdicts could not be recorded: %s", len(judged), error, exc_info=not own)
            for job, _ in judged:
                if not job.future.done():
                    job.future.set_exception(_refusal(error))

    def _answer(self, job: Job, verdict: Verdict, number: int | None) -> None:
        self._metrics.observe(verdict, time.monotonic() - job.arrived)
        job.future.set_result(Answer(verdict, job.model.id, number))


def _refusal(error: Exception) -> AuditError:
    if isinstance(error, AuditError):
        return error
    refusal = AuditError(f"the verdict could not be recorded: {str(error) or type(error).__name__}")
    refusal.__cause__ = error
    return refusal
