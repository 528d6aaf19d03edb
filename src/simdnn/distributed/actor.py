"""The actor: a process that holds the networks, decodes images and runs them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.distributed.blocks import Block, joined
from simdnn.images.limits import ReadLimits
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.backbone import Backbone
from simdnn.networks.draws import Draws
from simdnn.networks.prepare import Copy


@dataclass(frozen=True)
class Job:
    """All that an actor needs besides the images; copies are by id, and so are the images ``wanted``: None for all."""

    backbones: tuple[Backbone, ...]
    auxiliary: AuxiliaryNetwork | None
    device: str
    batch_size: int
    limits: ReadLimits
    views: tuple[Shift, ...]
    draws: Draws | None
    copies: Mapping[str, Copy]
    pixels: bool
    keep_bytes: bool
    wanted: frozenset[str] | None


class NetworkActor:
    """Runs batches of files' bytes through the networks. A file that cannot be read is a row with its reason.

    Parameters
    ----------
    jobs : a reference to one `Job` in a list, so that Ray hands over the reference and not the networks
    """

    def __init__(self, jobs: list[Any]) -> None:
        import ray
        import torch

        from simdnn.networks.extractor import Extractor

        self.job: Job = ray.get(jobs[0])
        torch.set_num_threads(1)  # one core each; more would wait for one another
        self.extractor = Extractor(
            self.job.backbones,
            batch_size=self.job.batch_size,
            workers=1,
            device=self.job.device,
            auxiliary=self.job.auxiliary,
            limits=self.job.limits,
        )

    def __call__(self, rows: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return one row: an encoded `Block`, or the traceback of an error that is no image's."""
        try:
            return {"block": _cell(self._run(rows).encode()), "failure": _cell("")}
        except Exception:
            return {"block": _cell(b""), "failure": _cell(traceback.format_exc())}

    def _run(self, rows: Mapping[str, NDArray[Any]]) -> Block:
        job = self.job
        found = zip(map(str, rows["id" if "id" in rows else "path"]), rows["bytes"], strict=True)
        chosen = [(name, bytes(data)) for name, data in found if job.wanted is None or name in job.wanted]
        ids = tuple(name for name, _ in chosen)
        stream = self.extractor.stream(
            [data for _, data in chosen],
            views=job.views,
            draws=job.draws,
            copies={i: job.copies[name] for i, name in enumerate(ids) if name in job.copies},
            pixels=job.pixels,
            keep_bytes=job.keep_bytes,
        )
        empty = self.extractor.extract([], views=job.views, draws=job.draws)
        return Block(ids, joined([empty, *stream]))


def _cell(value: object) -> NDArray[Any]:
    cell = np.empty(1, dtype=object)
    cell[0] = value
    return cell
