"""A shard in Parquet: columns ``features``, ``label`` and ``id``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError


class ParquetShard:
    """A table with a column ``features``, lists of as many floating-point numbers in each row, and perhaps others.

    ``label`` and ``id`` are whole numbers or text.

    Raises
    ------
    InputError
        If the file is no such table, or pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow.parquet import ParquetFile
        except ModuleNotFoundError as error:
            raise InputError(
                f"reading {path} needs pyarrow; pip install 'simdnn[parquet]', or give .npy files"
            ) from error
        self.path = path
        try:
            self.file = ParquetFile(path)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}") from error
        self.columns = self.file.schema_arrow.names
        if "features" not in self.columns:
            raise InputError(f"expected a column features in {path}, got {', '.join(self.columns)}")
        self.rows = self.file.metadata.num_rows
        self.width = len(next(self.features(1))[0]) if self.rows else 0

    def features(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the features, up to ``rows`` rows at a time."""
        width = None
        for batch in self.file.iter_batches(batch_size=rows, columns=["features"]):
            column = batch.column(0)
            flat = column.flatten()
            width = width or len(flat) // max(len(column), 1)
            lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
            even = lengths is None or (np.asarray(lengths) == width).all()
            if column.null_count or flat.null_count or not even or len(flat) != width * len(column):
                raise InputError(
                    f"expected {width} numbers in each row of the column features of {self.path}, got missing ones or "
                    "rows of other lengths"
                )
            values = flat.to_numpy(zero_copy_only=False)
            if values.dtype.kind != "f":
                raise InputError(
                    f"expected floating-point numbers in the column features of {self.path}, got {values.dtype}"
                )
            yield values.reshape(len(column), width)

    def labels(self) -> NDArray[np.str_] | None:
        """Return the column ``label``, as text."""
        return self._column("label")

    def ids(self) -> NDArray[np.str_] | None:
        """Return the column ``id``, as text."""
        return self._column("id")

    def _column(self, name: str) -> NDArray[np.str_] | None:
        if name not in self.columns:
            return None
        column = self.file.read(columns=[name]).column(0)
        values = column.to_pylist()
        if not all(type(value) in (int, str) for value in values):
            raise InputError(
                f"expected whole numbers or text in the column {name} of {self.path}, got others"
            )
        return np.array([str(value) for value in values], dtype=np.str_)
