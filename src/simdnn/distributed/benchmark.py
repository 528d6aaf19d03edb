"""The benchmark on a Ray cluster: one task a network; each record is on the driver's disk as soon as it is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from simdnn.distributed.cluster import Cluster
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.records import Record, Records
from simdnn.evaluation.run import CellFilter, Log, run
from simdnn.evaluation.tested_network import Folders
from simdnn.progress import Progress


def run_on_ray(
    plan: Plan,
    records: Records,
    folders: Folders,
    cluster: Cluster,
    log: Log,
    *,
    wanted: CellFilter = lambda _: True,
    again: bool = False,
) -> None:
    """Measure a plan as :func:`simdnn.evaluation.run.run` does, several networks at a time.

    Parameters
    ----------
    plan, records, log, wanted, again : as there
    folders : seen by every machine of the cluster under the same path
    cluster : where networks are measured

    Raises
    ------
    InputError
        As there.
    """
    import ray
    from ray.util.queue import Queue

    known, queue = list(records), Queue()
    measure = ray.remote(_measure).options(
        num_cpus=1, num_gpus=cluster.gpus or None, max_retries=2, retry_exceptions=False
    )
    rows = [network.row for network in plan.networks]
    waiting = list(rows)
    running: dict[Any, str] = {}
    while waiting or running:
        while waiting and len(running) < cluster.actors:
            row = waiting.pop(0)
            running[measure.remote(plan, row, known, folders, wanted, again, queue)] = row
        finished, _ = ray.wait(list(running), timeout=0.5)
        while not queue.empty():
            kind, content = queue.get()
            if kind == "record":
                records.add(content)
            else:
                log(content)
        for done in finished:
            del running[done]
            ray.get(done)  # raises what failed there
    while not queue.empty():
        kind, content = queue.get()
        records.add(content) if kind == "record" else log(content)
    queue.shutdown()


class _Sent(Records):
    """Records that are also sent to the driver."""

    def __init__(self, path: Path, known: list[Record], queue: Any) -> None:
        super().__init__(path)
        for record in known:
            super().add(record)
        self.queue = queue

    def add(self, record: Record) -> None:
        """Add a record here and there."""
        super().add(record)
        self.queue.put(("record", record))


def _measure(
    plan: Plan,
    row: str,
    known: list[Record],
    folders: Folders,
    wanted: CellFilter,
    again: bool,
    queue: Any,
) -> None:
    """Measure the cells of one network."""
    import torch

    torch.set_num_threads(1)

    def of_this_network(names: Mapping[str, str]) -> bool:
        return names["network"] == row and wanted(names)

    with TemporaryDirectory() as folder:
        records = _Sent(Path(folder) / "records.jsonl", known, queue)
        run(
            plan,
            records,
            folders,
            _no_bars,
            lambda line: queue.put(("line", line)),
            wanted=of_this_network,
            again=again,
        )


@contextmanager
def _no_bars(title: str) -> Iterator[Progress]:
    del title
    yield lambda _, __: None
