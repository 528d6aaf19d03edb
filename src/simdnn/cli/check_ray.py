"""``simdnn check --ray``: judge images on many processes or machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simdnn.cli.options import read_limits

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard
    from simdnn.guard.verdict import Verdict

Recorder = Callable[["Verdict", bytes | None], object]


@contextmanager
def ray_verdicts(
    address: str,
    guard: Guard,
    images: list[Path],
    asked: dict[str, Any],
    *,
    keep_bytes: bool,
    audit: str | None,
    device: str | None,
    actors: int | None,
    batch_size: int,
    max_pixels: int | None,
    record: Recorder,
) -> Iterator[tuple[Iterator[tuple[Verdict, bytes | None]], Recorder]]:
    """Yield the verdicts with bytes, and what records each once, however often the run was interrupted.

    Finished blocks are forgotten where the block ends without an error: all verdicts are out.
    """
    from simdnn.distributed.checking import check_on_ray, recorded_before
    from simdnn.distributed.cluster import connected
    from simdnn.distributed.extractor import RayExtractor
    from simdnn.distributed.sources import find_source

    source = find_source(images, labelled=False)
    backbones, auxiliary = guard.extractor.backbones, guard.extractor.auxiliary
    with connected(address, actors, device) as cluster:
        extractor = RayExtractor(
            backbones,
            cluster=cluster,
            source=source,
            batch_size=batch_size,
            auxiliary=auxiliary,
            limits=read_limits(max_pixels),
        )
        before: set[str] | None = None

        def once(verdict: Verdict, data: bytes | None) -> None:
            nonlocal before
            if audit is None:
                return
            if before is None:
                from simdnn.audit.store import AuditStore

                with AuditStore.open(audit) as store:
                    before = recorded_before(store, guard.model_id, extractor)
            if verdict.path not in before:
                record(verdict, data)

        yield check_on_ray(guard, extractor, keep_bytes=keep_bytes, **asked), once
        extractor.forget_runs()
