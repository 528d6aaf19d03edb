"""From uploads to answers: admitted, decoded in threads, judged in batches, recorded."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite, log

from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError, ImageKindError, ImageReadError, ImageTooLargeError
from simdnn.guard.verdict import Verdict
from simdnn.service.batching import Batcher
from simdnn.service.jobs import Answer, Job, Question, Upload, prepared_job
from simdnn.service.limits import Rate, Room
from simdnn.service.metrics import Metrics
from simdnn.service.models import Model, Models
from simdnn.service.near import NearDuplicates
from simdnn.service.problems import Problem
from simdnn.service.recording import Recorder
from simdnn.service.settings import Settings

_log = logging.getLogger(__name__)

Alarm = Callable[[Job, int], None]
"""Told of a query and the number of its near-duplicates."""

STATUS = {ImageTooLargeError: 413, ImageKindError: 415, ImageReadError: 422}
"""What an image that cannot be read is answered with."""


class Pipeline:
    """What images pass on their way to a verdict.

    Parameters
    ----------
    settings : how the service runs
    models : the guard in use
    audit : the audit store; None without one
    metrics : told what happens
    alarm : told of near-duplicate queries
    also : told each batch of images and verdicts, once they are on their way to the client
    """

    def __init__(
        self,
        settings: Settings,
        models: Models,
        audit: AuditStore | None,
        metrics: Metrics,
        alarm: Alarm,
        also: Callable[[list[tuple[Job, Verdict]]], None],
    ) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._alarm = alarm
        self._also = also
        self._limits = settings.limits
        self.room = Room(settings.queue, metrics)
        self.rate = Rate(settings.rate, metrics)
        self._near = NearDuplicates(settings.near_duplicates, settings.near_distance, settings.near_window)
        self._recorder = Recorder(audit, metrics, everything=settings.record_all)
        self._decoders = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="simdnn-decode")
        self._batcher = Batcher(settings.max_batch, settings.max_delay_ms / 1000, self._judged)

    def model(self) -> Model:
        """Return the guard in use; a 503 problem while there is none."""
        model = self._models.current
        if model is None:
            reason = self._models.failure
            detail = "the guard is still being loaded" if reason is None else "the guard could not be loaded"
            raise Problem(503, f"{detail}; ask again later", {"Retry-After": "2"})
        return model

    async def check(self, uploads: Sequence[Upload], question: Question) -> list[Answer | Problem]:
        """Judge images; one answer each, or what is wrong with the image.

        Raises
        ------
        InputError
            If there is no such rule, or too few calibration images for the false-alarm rate.
        Problem
            429 for too many images of one token, 503 if there is no guard yet.
        """
        model = self.model()
        await asyncio.to_thread(model.judge, question.rule, question.alpha)  # InputError before any work
        self.rate.spend(question.token, len(uploads))
        return list(await asyncio.gather(*(self._one(upload, question, model) for upload in uploads)))

    def close(self) -> None:
        """Finish what was accepted, and end all threads."""
        self._decoders.shutdown()
        self._batcher.close()
        self._recorder.close()

    async def _one(self, upload: Upload, question: Question, model: Model) -> Answer | Problem:
        hashed = self._settings.near_duplicates > 0
        loop = asyncio.get_running_loop()
        try:
            job = await loop.run_in_executor(
                self._decoders,
                lambda: prepared_job(upload, question, model, self._limits, hashed=hashed),
            )
        except ImageReadError as error:
            return Problem(next(STATUS[kind] for kind in type(error).mro() if kind in STATUS), str(error))
        if job.seen is not None:
            similar = self._near.observe(question.token, job.seen, job.bytes_key)
            if similar is not None:
                self._metrics.near_duplicate_alarms.inc()
                await asyncio.to_thread(self._alarm, job, similar)
        self._batcher.submit(job)
        try:
            answer = await asyncio.wrap_future(job.future)
        except (AuditError, OSError):
            return Problem(
                503,
                "the verdict could not be recorded in the audit store, so it is not given; ask again later",
                {"Retry-After": "5"},
            )
        if answer.verdict.verdict == "error":
            return Problem(422, answer.verdict.error or "the image could not be judged")
        return answer

    def _judged(self, judged: list[tuple[Job, Verdict]]) -> None:
        """Pass on the verdicts of a batch; on the judging thread."""
        self._metrics.batch_size.observe(len(judged))
        for job, verdict in judged:
            own = job.question.rule in (None, job.model.guard.settings.rule)
            if own and verdict.score is not None and isfinite(verdict.score):
                state = job.model.drift.observe(verdict.score)
                self._metrics.drift.set(state.log10_capital * log(10))
        self._recorder.take(judged)
        self._also(judged)
