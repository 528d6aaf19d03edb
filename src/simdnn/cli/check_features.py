"""``simdnn check --features``: judge features that are there already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.features.guard import FeatureGuard
    from simdnn.guard.verdict import Verdict
    from simdnn.progress import Progress


def read_feature_guard(path: Path, foreign: list[str]) -> FeatureGuard:
    """Read a guard on features.

    Parameters
    ----------
    path : the file that ``simdnn fit --features`` wrote
    foreign : options given that belong to images and networks; InputError if there are any
    """
    if foreign:
        raise InputError(
            f"--features judges features alone, by the rule similarity; leave out {', '.join(foreign)}"
        )
    from simdnn.features.guard import FeatureGuard

    return FeatureGuard.read(path)


def judged_features(
    guard: FeatureGuard, features: Path, *, alpha: float | None, per_class: bool, progress: Progress | None
) -> Iterator[tuple[Verdict, None]]:
    """Yield a verdict for each row of the shards, without bytes to keep."""
    from simdnn.features.shards import Shards

    verdicts = guard.check(Shards(features), alpha=alpha, per_class=per_class, progress=progress)
    return ((verdict, None) for verdict in verdicts)
