"""An extractor whose networks run on a Ray cluster; everything else of a guard works with it as with one machine's."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from simdnn.distributed.actor import Job, NetworkActor
from simdnn.distributed.blocks import Block, joined
from simdnn.distributed.cluster import Cluster
from simdnn.distributed.manifest import Manifest, default_runs
from simdnn.distributed.sources import Named, Source
from simdnn.errors import SimDNNError
from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.backbone import Backbone
from simdnn.networks.batch import Batch
from simdnn.networks.cache import FeatureCache
from simdnn.networks.draws import Draws
from simdnn.networks.extractor import Extractor
from simdnn.networks.prepare import Copy


class ClusterError(SimDNNError):
    """An actor failed on something that is no image's fault."""


class RayExtractor(Extractor):
    """Runs the images of a source on a cluster, and yields the results in the images' order.

    Finished blocks are kept on the driver's disk until :meth:`forget_runs`; a driver that is killed, and started again
    with the same images, networks, limits and view seed, runs only the rest, and what could not be read. Images of
    which one has changed since then are not the same.

    Parameters
    ----------
    backbones, auxiliary, batch_size, limits : as for :class:`simdnn.networks.extractor.Extractor`
    cluster : where they run
    source : where the images come from
    runs : folder of finished blocks, by default in the user's cache folder
    cache : keeps the view seed of an interrupted fit; features are not looked up in it
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        *,
        cluster: Cluster,
        source: Source,
        batch_size: int = 32,
        auxiliary: AuxiliaryNetwork | None = None,
        limits: ReadLimits = DEFAULT_LIMITS,
        runs: Path | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        super().__init__(
            backbones, batch_size=batch_size, device="cpu", auxiliary=auxiliary, limits=limits, cache=cache
        )
        self.cluster, self.source = cluster, source
        self.runs = runs or default_runs()
        self.manifests: list[Manifest] = []

    def stream(
        self,
        images: Sequence[Any] | Any,
        *,
        views: Sequence[Shift] = (),
        view_key: str | None = None,
        draws: Draws | None = None,
        copies: Mapping[int, Copy] | None = None,
        pixels: bool = False,
        keep_bytes: bool = False,
    ) -> Generator[Batch, None, None]:
        """Yield the results batch by batch, in the images' order; parameters and errors of the extractor's.

        Raises
        ------
        ClusterError
            If an actor fails on something that is no image's fault.
        """
        names: list[Path | Named] = list(images)
        if not names:
            return
        seen = tuple(views) if view_key is None else view_key
        what = [self.fingerprint_of(seen, draws), self.batch_size, pixels, keep_bytes, asdict(self.limits)]
        changed = {i: vars(copy) for i, copy in (copies or {}).items()}
        facts = [*what, *map(str, names), self.source.stamps(names), changed]
        manifest = Manifest(self.runs / sha256(json.dumps(facts).encode()).hexdigest()[:32])
        self.manifests.append(manifest)
        waiting: dict[int, Batch] = {}
        places = {str(name): i for i, name in enumerate(names)}
        for block in manifest.blocks():
            waiting |= {places[name]: batch for name, batch in block.images() if not batch.errors}
        left = [i for i in range(len(names)) if i not in waiting]
        job = Job(
            tuple(self.backbones),
            self.auxiliary,
            self.cluster.device,
            self.batch_size,
            self.limits,
            tuple(views),
            draws,
            {str(names[i]): copy for i, copy in (copies or {}).items()},
            pixels,
            keep_bytes,
            None,
        )
        ready, done = list[Batch](), 0
        for place, batch in self._results([names[i] for i in left], job, manifest):
            waiting[left[place]] = batch
            while done in waiting:
                ready.append(waiting.pop(done).placed(np.array([done])))
                done += 1
                if len(ready) == self.batch_size:
                    yield joined(ready)
                    ready = []
        for i in range(
            done, len(names)
        ):  # what was there before, and images that no process of the cluster could read
            ready.append(
                (waiting.pop(i) if i in waiting else self._here(names[i], job)).placed(np.array([i]))
            )
            if len(ready) == self.batch_size:
                yield joined(ready)
                ready = []
        if ready:
            yield joined(ready)

    def forget_runs(self) -> None:
        """Remove the finished blocks: what was to be made of them is written."""
        for manifest in self.manifests:
            manifest.forget()
        self.manifests = []

    @property
    def started(self) -> Any:
        """Time at which the first of the runs was started for the first time; None before that."""
        return min((manifest.started for manifest in self.manifests), default=None)

    def _results(
        self, names: Sequence[Path | Named], job: Job, manifest: Manifest
    ) -> Iterator[tuple[int, Batch]]:
        """Run images on the cluster, in no order; keep each block before its images are yielded."""
        if not names:
            return
        import ray
        from ray.data import ActorPoolStrategy

        with _quiet(ray):
            dataset, places = self.source.dataset(names)
            ids = {file: str(names[i]) for file, i in places.items()}
            inner = {name: file for file, name in ids.items()}
            sent = ray.put(
                replace(
                    job,
                    copies={inner[name]: copy for name, copy in job.copies.items() if name in inner},
                    wanted=frozenset(ids) if len(ids) < dataset.count() else None,
                )
            )
            most = min(self.cluster.actors, -(-len(names) // self.batch_size))
            run = dataset.map_batches(
                NetworkActor,
                fn_constructor_args=([sent],),
                batch_size=self.batch_size,
                compute=ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
                num_cpus=1,
                num_gpus=self.cluster.gpus or None,
            )
            for rows in run.iter_batches(batch_size=None, batch_format="numpy"):
                for raw, failure in zip(rows["block"], rows["failure"], strict=True):
                    if failure:
                        raise ClusterError(f"a process of the cluster failed: {failure}")
                    block = Block.decode(bytes(raw))
                    named = Block(tuple(ids[file] for file in block.ids), block.batch)
                    manifest.add(named.encode())
                    yield from ((places[inner[name]], batch) for name, batch in named.images())

    def _here(self, name: Path | Named, job: Job) -> Batch:
        """Run one image on this machine; it says why the image cannot be read."""
        try:
            image = self.source.read(name)
        except Exception as error:  # any file system may fail in its own way
            empty = self.extract([], views=job.views, draws=job.draws)
            return replace(empty, errors={0: f"the file cannot be read: {' '.join(str(error).split())}"})
        stream = super().stream(
            [image],
            views=job.views,
            draws=job.draws,
            copies={0: job.copies[str(name)]} if str(name) in job.copies else None,
            pixels=job.pixels,
            keep_bytes=job.keep_bytes,
        )
        return next(stream)


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Let Ray Data pass over blocks that it cannot read, and say nothing; our own progress is shown."""
    context = ray.data.DataContext.get_current()
    before = (context.max_errored_blocks, context.enable_progress_bars, context.print_on_execution_start)
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.ERROR)
    context.max_errored_blocks, context.enable_progress_bars, context.print_on_execution_start = (
        -1,
        False,
        False,
    )
    try:
        yield
    finally:
        context.max_errored_blocks, context.enable_progress_bars, context.print_on_execution_start = before
        log.setLevel(level)
