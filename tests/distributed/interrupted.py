"""A check that is killed after some verdicts: `python interrupted.py GUARD WEIGHTS PHOTOS RUNS STORE [VERDICTS]`.

It prints how many images ran through the networks in this process's run.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from simdnn.audit.store import AuditStore
from simdnn.distributed.checking import check_on_ray, recorded_before
from simdnn.distributed.cluster import connected
from simdnn.distributed.extractor import RayExtractor
from simdnn.distributed.sources import find_source
from simdnn.guard.guard import Guard


def main() -> None:
    file, photos, runs, store_file, *after = sys.argv[1:]
    guard = Guard.load(file, trust=["simdnn.networks.digits:digits_network"])
    with connected(actors=1) as cluster, AuditStore.open(store_file) as store:
        source = find_source([photos], labelled=False)
        extractor = RayExtractor(
            guard.extractor.backbones, cluster=cluster, source=source, runs=Path(runs), batch_size=16
        )
        before: set[str] | None = None
        already = len(list(Path(runs).glob("*/*.block")))
        for number, (verdict, _) in enumerate(check_on_ray(guard, extractor), 1):
            before = recorded_before(store, guard.model_id, extractor) if before is None else before
            if verdict.path not in before:
                store.record(verdict, model_id=guard.model_id)
            if after and number == int(after[0]):
                os.kill(os.getpid(), signal.SIGKILL)
        print(already, len(list(Path(runs).glob("*/*.block"))))
        extractor.forget_runs()


if __name__ == "__main__":
    main()
