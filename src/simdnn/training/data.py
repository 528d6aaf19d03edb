"""Labelled images decoded once, into a file that is mapped into memory."""

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
"""Share of the files that may be unreadable; they are skipped."""

_CHUNK = 256


@dataclass(frozen=True)
class DecodedImages:
    """N readable images of one side, with what is known of their files.

    Attributes
    ----------
    pixels : (M, 3, side, side) of all M files, mapped from disk
    rows : (N,) places of the readable ones among them
    labels : (N,) places among the classes
    classes : their names, sorted
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
        """Return images (n, 3, side, side) uint8, chosen by their places among the N."""
        return torch.from_numpy(self.pixels[self.rows[chosen]])


def decode_images(data: Path, side: int, store: Path, *, progress: Progress | None = None) -> DecodedImages:
    """Decode labelled images, or take what an earlier call with the same files left in ``store``.

    Parameters
    ----------
    data
        Folder with one subfolder per class, or a CSV file, as `labelled_images` takes it.
    side
        Height and width; the shorter side of each image is resized to it and the centre cut out.
    store
        The ``.npy`` file of the pixels; a ``.json`` file of the same name lies beside it.
    progress
        Called with (images done, images in all).

    Raises
    ------
    InputError
        If ``data`` cannot be used, there are fewer than two classes, or too many files cannot be read.
    """
    paths, names = labelled_images(data)
    classes = sorted(set(names))
    if len(classes) < 2:
        raise InputError(f"expected images of at least two classes in {data}, got only {classes[0]!r}")
    about = store.with_suffix(".json")
    asked = {"side": side, "files": [_signature(path) for path in paths]}
    found = json.loads(about.read_text(encoding="utf-8")) if about.is_file() and store.is_file() else {}
    if {name: found.get(name) for name in asked} != asked:
        about.unlink(missing_ok=True)  # it says that the pixels are whole
        found = asked | {"read": _decode(paths, side, store, progress)}
        write_whole(about, json.dumps(found).encode())
    hashes, reasons = (np.array(column, dtype=np.str_) for column in zip(*found["read"], strict=True))
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
    """Return what changes when a file does, without reading it."""
    try:
        status = path.stat()
    except OSError:
        return [str(path), 0, 0]
    return [str(path), status.st_size, status.st_mtime_ns]


def _decode(
    paths: Sequence[Path], side: int, store: Path, progress: Progress | None
) -> list[tuple[str, str]]:
    """Write the pixels of all files, zeros for the unreadable; return for each its hash and why it cannot be read."""
    preprocess = Preprocess(size=(side, side), resize=side)

    def read(path: Path) -> tuple[NDArray[np.uint8] | None, str, str]:
        try:
            content = read_bytes(path)
            image = preprocess(read_image(content))
        except ImageReadError as error:
            return None, "", str(error)
        return (image * 255).round().byte().numpy(), sha256(content).hexdigest(), ""

    known: list[tuple[str, str]] = []
    needed, free = 3 * side**2 * len(paths), shutil.disk_usage(store.absolute().parent).free
    if needed > free:  # a mapped file that meets a full disk ends the process
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
                known.append((name, reason))
            if progress is not None:
                progress(len(known), len(paths))
    pixels.flush()
    return known
