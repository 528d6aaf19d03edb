"""The clean images that calibrate a guard: where they come from, and which of them come corrupted as well."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simdnn.arrays import IntArray
from simdnn.errors import InputError
from simdnn.images.corruptions import CORRUPTIONS
from simdnn.images.files import find_images
from simdnn.images.table import table_rows
from simdnn.networks.batch import Batch
from simdnn.networks.prepare import Copy

COPIES = 1000
"""Images, at most, that calibrate by a corrupted copy, too: every second one of those that calibrate."""


def images_without_labels(data: Path) -> list[Path]:
    """List the images of a folder, subfolders included, or those that the column ``path`` of a CSV file names.

    Raises
    ------
    InputError
        If there is none, or a line of the CSV names a file that does not exist.
    """
    if data.suffix.lower() != ".csv" or os.path.isdir(data):
        return find_images([data])
    paths = []
    for line, (name,) in table_rows(data, ("path",), instead_of="a folder of images, or "):
        paths.append(data.parent / name)
        if not paths[-1].is_file():
            raise InputError(f"{data}, line {line}: expected a file, got {paths[-1]}, which is none")
    return find_images(paths)


def corrupted_copies(rows: Sequence[int] | NDArray[np.int64], seed: int) -> dict[int, Copy]:
    """Choose which images calibrate by a corrupted copy, too, and how each is corrupted: all corruptions in turn."""
    chosen = list(rows)[::2][:COPIES]
    return {int(i): Copy(name, seed) for i, name in zip(chosen, cycle(CORRUPTIONS), strict=False)}


def image_numbers(hashes: Iterable[str]) -> IntArray:
    """Return the numbers by which a guard knows images again: the first 52 bits of their SHA-256 in hexadecimal."""
    return np.array([int(digest[:13] or "0", 16) for digest in hashes], dtype=np.int64)


def without_known(batch: Batch, known: Collection[str], learned: IntArray | None = None) -> tuple[Batch, int]:
    """Leave out images whose files are known by hash, and say how many; their corrupted copies go with them.

    Parameters
    ----------
    batch : images
    known : SHA-256 of the files that must not be among them
    learned : :func:`image_numbers` of further ones
    """
    hashes = set(known)
    new = np.array([digest not in hashes for digest in batch.image_sha256], dtype=bool)
    if learned is not None:
        new &= ~np.isin(image_numbers(batch.image_sha256), learned)
    left_out = len(np.unique(batch.positions[~new]))
    return batch.take(np.flatnonzero(new)), left_out
