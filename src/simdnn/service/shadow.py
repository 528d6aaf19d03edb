"""A second guard that judges every image, too, without acting on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any

from simdnn.audit.shadow import ShadowLog
from simdnn.errors import SimDNNError
from simdnn.guard.verdict import Verdict
from simdnn.networks.prepare import Image
from simdnn.service.jobs import Job
from simdnn.service.models import Model

_log = logging.getLogger(__name__)


class Shadow:
    """Judges, on a thread of its own, what the guard in use has judged; records both verdicts side by side.

    Where it cannot keep up, images are left out: the guard in use never waits for it.

    Parameters
    ----------
    model : the second guard
    log : where verdicts go
    most : images that wait for it at most
    max_batch : images that it judges together
    """

    def __init__(self, model: Model, log: ShadowLog, most: int, max_batch: int) -> None:
        self.model = model
        self.left_out = 0
        self._table = log
        self._batch = max_batch
        self._waiting: Queue[tuple[Job, Verdict] | None] = Queue(most)
        self._thread = Thread(target=self._run, name="simdnn-shadow", daemon=True)
        self._thread.start()

    def take(self, judged: list[tuple[Job, Verdict]]) -> None:
        """Take the verdicts of a batch; only those by the guard's own rule can be compared."""
        for job, verdict in judged:
            if job.question.rule is None and job.question.alpha is None:
                try:
                    self._waiting.put_nowait((job, verdict))
                except Full:
                    self.left_out += 1

    def close(self) -> None:
        """Judge what was taken, and end the thread."""
        while self._thread.is_alive():  # nobody else makes room in the queue
            try:
                self._waiting.put(None, timeout=0.1)
                break
            except Full:
                continue
        self._thread.join()

    def _run(self) -> None:
        for judged in self._batches():
            try:
                self._table.add(list(self._rows(judged)))
            except Exception as error:  # whatever it is, the next images are judged
                self.left_out += len(judged)
                own = isinstance(error, SimDNNError)
                _log.error("%d verdicts of the shadow were lost: %s", len(judged), error, exc_info=not own)

    def _batches(self) -> Iterator[list[tuple[Job, Verdict]]]:
        while (first := self._waiting.get()) is not None:
            judged, ended = [first], False
            while len(judged) < self._batch and not ended:
                try:
                    more = self._waiting.get_nowait()
                except Empty:
                    break
                if more is None:
                    ended = True
                else:
                    judged.append(more)
            yield judged
            if ended:
                return

    def _rows(self, judged: list[tuple[Job, Verdict]]) -> Iterator[dict[str, Any]]:
        guard, judge = self.model.guard, self.model.judge(None, None)
        images: list[Image] = [job.upload.content for job, _ in judged]
        names = [job.upload.name for job, _ in judged]
        views, draws = judge.rule.views, guard.draws(judge.rule)
        found: list[Verdict] = []
        for batch in guard.extractor.stream(images, views=views, draws=draws):
            found += judge(batch, names)
        for (job, own), other in zip(judged, found, strict=True):
            yield {
                "time": datetime.now(UTC),
                "image_sha256": job.prepared.image_sha256 or None,
                "path": job.upload.name,
                "model_id": job.model.id,
                "verdict": own.verdict,
                "score": own.score,
                "p_value": own.p_value,
                "shadow_id": self.model.id,
                "shadow_verdict": other.verdict,
                "shadow_score": other.score,
                "shadow_p_value": other.p_value,
            }
