"""``simdnn fit --ray``: fit on many processes or machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simdnn.cli.progress import progress_bar

if TYPE_CHECKING:
    from simdnn.guard.fitting import Fit
    from simdnn.guard.guard import Guard


def guard_on_ray(
    address: str, fit: Fit, output: Path, *, actors: int | None, device: str | None, networks: dict[str, Any]
) -> Guard:
    """Fit a guard on a cluster and write it; ``networks`` are the arguments of the extractor besides the cluster."""
    from simdnn.distributed.cluster import connected
    from simdnn.distributed.extractor import RayExtractor
    from simdnn.distributed.fitting import fit_on_ray
    from simdnn.distributed.sources import find_source

    source = find_source([fit.data], labelled=True)
    with connected(address, actors, device) as cluster:
        extractor = RayExtractor(cluster=cluster, source=source, **networks)
        with progress_bar("reading", then="learning") as progress:
            guard = fit_on_ray(fit, extractor, progress)
        guard.save(output)
        extractor.forget_runs()
    return guard
