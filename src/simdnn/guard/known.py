"""Images that an auxiliary network has learned: they look better to it than new ones do, and must not calibrate."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.networks.auxiliary import AuxiliaryNetwork

_CALIBRATING = 0.8
"""Largest share of the images of a class that the auxiliary network has not learned that calibrate."""


def learned_hashes(auxiliary: AuxiliaryNetwork | None) -> frozenset[str]:
    """Return the SHA-256 of the files that an auxiliary network has learned; empty without one."""
    return frozenset() if auxiliary is None else frozenset(auxiliary.spec.learned)


def learned_by(auxiliary: AuxiliaryNetwork | None, paths: Sequence[Path]) -> NDArray[np.bool_]:
    """Tell which files an auxiliary network has learned, by the hashes in its own file: (N,).

    A file that cannot be read counts as not learned; whoever reads it for its pixels will say so.
    """
    learned = learned_hashes(auxiliary)
    return np.array([bool(learned) and _sha256(path) in learned for path in paths], dtype=bool)


def without_learned(
    out: NDArray[np.bool_], known: NDArray[np.bool_], labels: NDArray[np.str_], seed: int
) -> NDArray[np.bool_]:
    """Return which images calibrate instead: as many of each class, if there are, and none that is known.

    At least a fifth of the others, where there are several, does not calibrate, so that rules may learn from it what
    the auxiliary network says of images that are new to it.

    Parameters
    ----------
    out : (N,) images that were to calibrate
    known : (N,) images that the auxiliary network has learned
    labels : (N,)
    seed : of the choice

    Raises
    ------
    InputError
        If none is left.
    """
    if not (out & known).any():
        return out
    free = ~known
    order = np.random.default_rng(seed).permutation(len(out))
    chosen = np.zeros_like(out)
    for label in np.unique(labels):
        rows = order[(labels[order] == label) & free[order]]
        most = max(1, int(len(rows) * _CALIBRATING))
        chosen[rows[: min(most, int(out[labels == label].sum()))]] = True
    if not chosen.any():
        raise InputError(
            f"the auxiliary network has learned all {len(out)} images, so that none can calibrate the threshold; "
            "add images that it has not learned, or train it with a larger --held-out"
        )
    return chosen


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
