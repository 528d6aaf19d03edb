"""Where the networks of a guard that is read from its file come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simdnn.errors import InputError
from simdnn.guard.state import GuardState
from simdnn.networks.record import NetworkSource

if TYPE_CHECKING:
    from torch import nn


def sources_of(
    guard: GuardState,
    weights: Sequence[str | None],
    networks: Sequence[nn.Module | None],
    trust: Sequence[str],
    folder: Path,
) -> tuple[NetworkSource, ...]:
    """Return the source of each network, the auxiliary network's last.

    Parameters
    ----------
    guard : as read
    weights, networks, trust : see :meth:`simdnn.guard.guard.Guard.load`
    folder : where the guard's file is

    Raises
    ------
    InputError
        If ``weights`` or ``networks`` are not one for each network.
    """
    names = [record.spec.name for record in guard.networks] + [""] * (guard.auxiliary is not None)
    n = len(names)
    for name, values in (("weights", weights), ("networks", networks)):
        if len(values) not in (0, n):
            raise InputError(
                f"expected {name} once for each of the guard's networks, {n} in all, or none at all; got {len(values)}"
            )
    return tuple(
        NetworkSource(where, given, name in list(trust), folder)
        for name, where, given in zip(names, weights or [None] * n, networks or [None] * n, strict=True)
    )
