"""A Ray cluster: one that is there, or one started on this machine for as long as it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simdnn
from simdnn.errors import InputError

LOCAL = "local"
"""The address that stands for a cluster of this machine's own."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is connected.

    Attributes
    ----------
    actors : processes that run networks
    gpus : graphics cards of each; 0 where they run on processors
    """

    actors: int
    gpus: float

    @property
    def device(self) -> str:
        """Where each actor runs its networks."""
        return "cuda" if self.gpus else "cpu"


@contextmanager
def connected(
    address: str = LOCAL, actors: int | None = None, device: str | None = None
) -> Iterator[Cluster]:
    """Connect to a Ray cluster, or start one; it is left, or stopped, with the block.

    One core is left free for reading: actors on all cores wait for data that no core is left to read.

    Parameters
    ----------
    address : of a cluster, as ``ray.init`` takes it, such as ``auto`` or ``ray://host:10001``; ``local`` starts one
    actors : processes that run networks; default one for each graphics card, else one for each core but one
    device : ``cpu`` leaves graphics cards alone, ``cuda`` asks for them

    Raises
    ------
    InputError
        If Ray is not installed, the cluster cannot be reached, or it has no such device.
    """
    ray = _ray()
    if ray.is_initialized():
        yield _cluster(ray, actors, device)
        return
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        cores = (actors + 1) if actors else max(2, os.cpu_count() or 2)
        options = options | {"num_cpus": cores, "include_dashboard": False}
    try:
        ray.init(**options, runtime_env={"env_vars": _environment()})
    except Exception as error:  # Ray has no type of its own for a start that fails
        raise InputError(
            f"expected a Ray cluster at {address}, and could not connect: {' '.join(str(error).split())}"
        ) from error
    try:
        yield _cluster(ray, actors, device)
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise InputError(
            f"--ray needs Ray, and found no {error.name}; pip install 'simdnn[ray]', or leave out --ray"
        ) from error
    return ray


def _environment() -> dict[str, str]:
    """Return what workers need: this package, also where it is not installed, and one thread for each core."""
    here = str(Path(simdnn.__file__).parents[1])
    found = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(found)), "OMP_NUM_THREADS": "1"}


def _cluster(ray: Any, actors: int | None, device: str | None) -> Cluster:
    resources = ray.cluster_resources()
    cores, cards = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if device not in (None, "cpu", "cuda"):
        raise InputError(f"with --ray the device is cpu or cuda, and Ray chooses which; got {device}")
    if device == "cuda" and not cards:
        raise InputError("expected graphics cards in the Ray cluster, found none; leave out --device")
    on_cards = cards if device != "cpu" else 0
    most = min(on_cards, max(cores - 1, 1)) if on_cards else cores - 1
    if most < 1:
        raise InputError(
            f"expected at least 2 cores in the Ray cluster, one to run networks and one to read; got {cores}"
        )
    return Cluster(min(actors or most, most), 1.0 if on_cards else 0.0)
