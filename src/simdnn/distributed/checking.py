"""Checking images on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simdnn.distributed.extractor import RayExtractor
from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.guard.judging import Judging
from simdnn.guard.verdict import Verdict
from simdnn.progress import Progress

if TYPE_CHECKING:
    from simdnn.audit.store import AuditStore


def check_on_ray(
    guard: Guard,
    extractor: RayExtractor,
    *,
    rule: str | None = None,
    alpha: float | None = None,
    per_class: bool = False,
    certify: int | None = None,
    fresh: bool = False,
    early: bool = False,
    keep_bytes: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Verdict, bytes]]:
    """Judge all images of the extractor's source, in their order; the verdicts are those of one machine.

    The networks run on the cluster; what is made of their outputs is little work, is done here, and may depend on the
    order, as the published rule does.

    Parameters
    ----------
    guard : what judges
    extractor : the guard's networks on a cluster
    rule, alpha, per_class, certify, fresh, early, progress : as for :meth:`Guard.check`
    keep_bytes : whether the bytes of each image are needed, too

    Raises
    ------
    InputError
        As for :meth:`Guard.check`.
    """
    if early and per_class:
        raise InputError("expected one threshold for all classes to stop early by; leave out one of both")
    judge = guard.judge(rule, alpha, per_class)
    judging = Judging.of(extractor, judge, guard.draws(judge.rule), certify, fresh=fresh, early=early)
    images = list(extractor.source.names)
    return judging.verdicts(images, [str(name) for name in images], progress, keep_bytes)  # type: ignore[arg-type]


def recorded_before(store: AuditStore, model_id: str, extractor: RayExtractor) -> set[str]:
    """Return the images that an interrupted run of the same check has put into an audit store already."""
    since = extractor.started
    if since is None:
        return set()
    return {record.path for record in store.stream(since=since) if record.model_id == model_id}
