"""One thread owns the networks: it gathers images into batches and judges them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from threading import Condition, Thread

import numpy as np

from simdnn.guard.judge import Judge
from simdnn.guard.verdict import Verdict
from simdnn.service.jobs import Job

_log = logging.getLogger(__name__)

Judged = Callable[[list[tuple[Job, Verdict]]], None]
"""What takes the verdicts of a batch."""


class Batcher:
    """Gathers images into batches, in the order in which they came, and judges them.

    An image waits for others for at most a few milliseconds, and not at all while the networks are busy anyway. Images
    of one batch may have different rules and thresholds, but one guard.

    Parameters
    ----------
    max_batch : images that go through the networks together
    max_delay : seconds that an image waits for others
    judged : called on the thread with each batch's images and verdicts
    """

    def __init__(self, max_batch: int, max_delay: float, judged: Judged) -> None:
        self._most = max_batch
        self._delay = max_delay
        self._judged = judged
        self._waiting: deque[Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="simdnn-judge", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Have an image judged; its future gets the answer."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Judge what was submitted, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._gather():
            jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if not jobs:
                continue
            try:
                verdicts = judge_together(jobs)
                self._judged(list(zip(jobs, verdicts, strict=True)))
            except Exception as error:
                _log.exception("a batch of %d images failed", len(jobs))
                for job in jobs:
                    if not job.future.done():
                        job.future.set_exception(error)

    def _gather(self) -> list[Job]:
        """Wait for images; return those of one batch, or none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            first = self._waiting[0]
            until = first.arrived + self._delay
            while len(self._waiting) < self._most and not self._closed:
                if not self._changed.wait(max(until - time.monotonic(), 0)):
                    break
            same = list(takewhile(lambda job: job.model is first.model, self._waiting))[: self._most]
            for _ in same:
                self._waiting.popleft()
            return same


def judge_together(jobs: list[Job]) -> list[Verdict]:
    """Judge images in one pass of the networks, each by its own rule and false-alarm rate; one verdict each.

    The networks run once, with the views and the noisy draws that any of the rules looks at.
    """
    model = jobs[0].model
    judges = [model.judge(job.question.rule, job.question.alpha) for job in jobs]
    views = max((judge.rule.views for judge in judges), key=len)
    draws = next((found for judge in judges if (found := model.guard.draws(judge.rule)) is not None), None)
    prepared = [replace(job.prepared, position=i) for i, job in enumerate(jobs)]
    batch = model.guard.extractor.run_prepared(prepared, views, draws)
    names = [job.upload.name for job in jobs]
    groups: dict[Judge, list[int]] = {}
    for i, judge in enumerate(judges):
        groups.setdefault(judge, []).append(i)
    verdicts: dict[int, Verdict] = {}
    for judge, rows in groups.items():
        verdicts |= dict(zip(rows, judge(batch.take(np.array(rows)), names), strict=True))
    return [verdicts[i] for i in range(len(jobs))]
