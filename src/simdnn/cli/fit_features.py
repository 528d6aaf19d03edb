"""``simdnn fit --features``: learn from features that are there already."""

from __future__ import annotations

from pathlib import Path

from simdnn.cli.progress import progress_bar
from simdnn.cli.text import echo, shown
from simdnn.errors import InputError


def fit_features(
    features: Path, output: Path, *, alpha: float, calibration: float, seed: int, foreign: list[str]
) -> None:
    """Learn a guard on features and write it.

    Parameters
    ----------
    features : folder of shards, or one shard
    output : where to write
    alpha, calibration, seed : as for ``simdnn fit``
    foreign : options given that belong to images and networks; InputError if there are any
    """
    if foreign:
        raise InputError(
            f"--features learns from features alone, with the rule similarity; leave out {', '.join(foreign)}"
        )
    from simdnn.features.learning import learn_features
    from simdnn.features.shards import Shards

    shards = Shards(features)
    with progress_bar("reading rows twice") as progress:
        guard = learn_features(shards, alpha=alpha, calibration=calibration, seed=seed, progress=progress)
        guard.threshold()
    guard.save(output)
    echo(
        f"learned {len(guard.support):,} prototypes of {len(guard.classes):,} classes from {guard.learned:,} rows of "
        f"{shards.width:,} features; {len(guard.calibration_scores):,} more calibrate the threshold"
    )
    echo(shown(f"wrote {output}"))
