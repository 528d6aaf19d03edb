"""Decode labelled images once, into a memory-mapped file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simdnn.atomic import write_whole
from simdnn.errors import ImageReadError, InputError
from simdnn.images.files import labelled_images
from simdnn.images.preprocess import Preprocess
from simdnn.images.reading import read_bytes, read_image
from simdnn.progress import Progress

UNREADABLE = 0.05
"""Largest share of unreadable files, which are skipped."""

_CHUNK = 256


@dataclass(frozen=True)
class DecodedImages:
    """N decoded images of equal size.

    Attributes
    ----------
    pixels : (M, 3, side, side) uint8, of all M files, memory-mapped; zeros for unreadable ones
    rows : (N,) indices of the readable files
    labels : (N,) indices of the images' classes
    classes : names of the classes, sorted
    hashes : (N,) SHA-256 of the files, in hexadecimal
    unreadable : the files that were skipped, each with the reason
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    hashes: NDArray[np.str_]
    unreadable: tuple[str, ...]

    def batch(self, chosen: NDArray[np.int64]) -> Tensor:
        """Return images (n, 3, side, side) uint8, by their indices (n,) among the N."""
        return torch.from_numpy(self.pixels[self.rows[chosen]])


def decode_images(data: Path, side: int, store: Path, *, progress: Progress | None = None) -> DecodedImages:
    """Decode labelled images, or reuse the result of an earlier call with the same files in ``store``.

    Parameters
    ----------
    data
        Folder with one subfolder per class, or a CSV file, see `labelled_images`.
    side
        Height and width in pixels; the shorter side of each image is resized to it and the centre cropped.
    store
        The ``.npy`` file of the pixels; a ``.json`` file with the same name is written beside it.
    progress
        Called after every few images.

    Raises
    ------
    InputError
        If ``data`` cannot be used, there are fewer than two classes, too many files or all of a class cannot be read,
        or the disk has too little space.
    """
    paths, names = labelled_images(data)
    classes = sorted(set(names))
    if len(classes) < 2:
        raise InputError(f"expected images of at least two classes in {data}, got only {classes[0]!r}")
    index = store.with_suffix(".json")
    expected = {"side": side, "files": [_signature(path) for path in paths]}
    stored = json.loads(index.read_text(encoding="utf-8")) if index.is_file() and store.is_file() else {}
    if {name: stored.get(name) for name in expected} != expected:
        index.unlink(missing_ok=True)  # its existence says that the pixels are complete
        stored = expected | {"read": _decode(paths, side, store, progress)}
        write_whole(index, json.dumps(stored).encode())
    hashes, reasons = (np.array(column, dtype=np.str_) for column in zip(*stored["read"], strict=True))
    rows = np.flatnonzero(reasons == "")
    wrong = [f"{path}: {reason}" for path, reason in zip(paths, reasons.tolist(), strict=True) if reason]
    if len(wrong) > UNREADABLE * len(paths):
        raise InputError(
            f"{len(wrong)} of {len(paths)} files cannot be read, more than the {UNREADABLE:.0%} allowed; "
            f"remove them. The first: {'; '.join(wrong[:5])}"
        )
    if lost := sorted(set(classes) - {names[row] for row in rows}):
        raise InputError(
            f"no file can be read of the class {', '.join(lost)}; replace its files or remove it"
        )
    labels = np.searchsorted(classes, np.array(names)[rows])
    pixels = np.load(store, mmap_mode="r")
    return DecodedImages(pixels, rows, labels, tuple(classes), hashes[rows], tuple(wrong))


def _signature(path: Path) -> list[object]:
    """Return path, size and time of change of a file, which tell whether it has changed."""
    try:
        status = path.stat()
    except OSError:
        return [str(path), 0, 0]
    return [str(path), status.st_size, status.st_mtime_ns]


def _decode(
    paths: Sequence[Path], side: int, store: Path, progress: Progress | None
) -> list[tuple[str, str]]:
    """Write the pixels of all files; return for each its hash, and the reason if it cannot be read."""
    preprocess = Preprocess(size=(side, side), resize=side)

    def read(path: Path) -> tuple[NDArray[np.uint8] | None, str, str]:
        try:
            content = read_bytes(path)
            image = preprocess(read_image(content))
        except ImageReadError as error:
            return None, "", str(error)
        return (image * 255).round().byte().numpy(), sha256(content).hexdigest(), ""

    hashes_and_reasons: list[tuple[str, str]] = []
    needed, free = 3 * side**2 * len(paths), shutil.disk_usage(store.absolute().parent).free
    if needed > free:  # writing to a memory-mapped file on a full disk kills the process
        raise InputError(
            f"expected {needed / 1e9:.1f} GB of free disk for the decoded images {store}, got {free / 1e9:.1f} GB"
        )
    try:
        pixels = np.lib.format.open_memmap(store, "w+", np.uint8, (len(paths), 3, side, side))
    except OSError as error:
        raise InputError(f"cannot write the decoded images {store}: {error.strerror}") from error
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _CHUNK):
            for row, (image, name, reason) in enumerate(pool.map(read, paths[start : start + _CHUNK]), start):
                if image is not None:
                    pixels[row] = image
                hashes_and_reasons.append((name, reason))
            if progress is not None:
                progress(len(hashes_and_reasons), len(paths))
    pixels.flush()
    return hashes_and_reasons
