"""A shard of NumPy files: ``NAME.npy`` with the features, ``NAME.labels.npy``, ``NAME.ids.npy``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError


class NpyShard:
    """Features (rows, width) of floating-point numbers, memory-mapped; labels, ids (rows,) of whole numbers or text.

    Raises
    ------
    InputError
        If a file is no such array.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        array = _mapped(path)
        if array.ndim != 2 or array.dtype.kind != "f":
            raise InputError(
                f"expected floating-point features (rows, width) in {path}, got {array.dtype} of shape {array.shape}"
            )
        self.rows, self.width = array.shape

    def features(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the features, up to ``rows`` rows at a time."""
        mapped = _mapped(self.path)
        if not mapped.flags.c_contiguous:  # columns lie together in the file
            for start in range(0, self.rows, rows):
                yield np.array(_mapped(self.path)[start : start + rows])
            return
        with self.path.open("rb") as file:  # quicker than a mapping, whose pages count as memory in use, too
            file.seek(mapped.offset)
            for start in range(0, self.rows, rows):
                count = min(rows, self.rows - start) * self.width
                yield np.fromfile(file, mapped.dtype, count).reshape(-1, self.width)

    def labels(self) -> NDArray[np.str_] | None:
        """Return what ``NAME.labels.npy`` holds, as text."""
        return self._column("labels")

    def ids(self) -> NDArray[np.str_] | None:
        """Return what ``NAME.ids.npy`` holds, as text."""
        return self._column("ids")

    def _column(self, name: str) -> NDArray[np.str_] | None:
        path = self.path.with_suffix(f".{name}.npy")
        if not path.exists():
            return None
        array = _mapped(path)
        if array.shape != (self.rows,) or array.dtype.kind not in "iuU":
            raise InputError(
                f"expected {self.rows} {name} in {path}, whole numbers or text, got {array.dtype} of shape "
                f"{array.shape}"
            )
        return np.asarray(array).astype(str)


def _mapped(path: Path) -> np.memmap[Any, Any]:
    try:
        array: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as an array: {reason}; write it with numpy.save") from error
    return array
