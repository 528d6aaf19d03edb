"""Select the images that are easiest to attack, like the paper's "non-robust" images.

The paper published neither its list of images nor its criterion; this criterion is ours.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from simdnn.arrays import FloatArray
from simdnn.attacks import DDN, predict, run_attack
from simdnn.errors import ImageReadError, InputError
from simdnn.evaluation.written import write_readable
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone
from simdnn.networks.classifier import Classifier
from simdnn.progress import Progress

STEPS = 40
"""Number of steps of the minimum-norm attack, DDN."""


@dataclass(frozen=True)
class Selection:
    """Images ranked by how easily they are attacked.

    Attributes
    ----------
    paths : the N readable images
    norms : (N, number of networks) L2 norm of the smallest perturbation found, for pixels in [0, 1]; infinite where
        the attack failed
    ranks : (N,) mean rank of the image over the networks, from 1 for the easiest to attack
    unreadable : errors of the unreadable files
    """

    paths: list[Path]
    norms: FloatArray
    ranks: FloatArray
    unreadable: list[str]

    def easiest(self, count: int) -> NDArray[np.int64]:
        """Return the indices of the ``count`` images that are easiest to attack, easiest first."""
        return np.argsort(self.ranks, kind="stable")[:count]


def select_nonrobust(
    paths: Sequence[Path],
    networks: Sequence[Backbone],
    progress: Progress | None = None,
    batch_size: int = 16,
) -> Selection:
    """Rank images by the smallest perturbation, found by DDN, that changes each network's prediction.

    No labels are needed: the prediction for the clean image counts as correct.

    Raises
    ------
    InputError
        If no image can be read.
    """
    readable: list[Path] = []
    unreadable: list[str] = []
    pictures = []
    for path in paths:
        try:
            picture = read_image(path)
        except ImageReadError as error:
            unreadable.append(str(error))
            continue
        readable.append(path)
        pictures.append([network.spec.preprocess(picture) for network in networks])
    if not readable:
        raise InputError(f"none of the {len(paths)} images can be read; the first: {unreadable[0]}")
    norms = np.empty((len(readable), len(networks)))
    for column, network in enumerate(networks):
        pixels, bare = torch.stack([by_network[column] for by_network in pictures]), Classifier(network)

        def shifted(done: int, _: int, before: int = column * len(readable)) -> None:
            if progress is not None:
                progress(before + done, norms.size)

        result = run_attack(
            DDN(steps=STEPS), bare, pixels, predict(bare, pixels), batch_size=batch_size, progress=shifted
        )
        norms[:, column] = np.where(result.success.numpy(), result.l2.numpy(), np.inf)
    return Selection(readable, norms, rankdata(norms, axis=0).mean(axis=1), unreadable)


def write_selection(path: Path, selection: Selection, rows: Sequence[int], names: Sequence[str]) -> None:
    """Write a CSV file of path, label (the image's folder), mean rank, and the L2 norm for each network.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    table = StringIO()
    writer = csv.writer(table)
    writer.writerow(["path", "label", "mean_rank", *(f"l2_{name}" for name in names)])
    for i in rows:
        image = selection.paths[i].absolute()
        norms = (f"{norm:.5g}" for norm in selection.norms[i])
        writer.writerow([image, image.parent.name, f"{selection.ranks[i]:.2f}", *norms])
    write_readable(path, table.getvalue())


def listed(paths: Sequence[Path], ids: Path) -> list[Path]:
    """Return the images of a published list, in its order; it has file names, with or without suffix.

    Raises
    ------
    InputError
        If the list cannot be read, or an image of the list is not among the paths.
    """
    try:
        wanted = ids.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected a text file with one image id a line, got {ids}: {error}") from error
    by_name = {name: path for path in paths for name in (path.stem, path.name)}
    missing = [name for name in wanted if name not in by_name]
    if missing or not wanted:
        raise InputError(
            f"{ids} names {len(wanted)} images, {len(missing)} of which are not there"
            + (f", such as {missing[0]}" if missing else "")
        )
    return [by_name[name] for name in wanted]
