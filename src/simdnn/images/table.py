"""Read a CSV file with a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from simdnn.errors import InputError
from simdnn.images.reading import one_line


def table_rows(
    path: Path, wanted: Sequence[str], *, optional: Sequence[str] = (), instead_of: str = ""
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield, for each line, its number and its values in the wanted columns and then in the optional ones.

    Parameters
    ----------
    path
        A file in UTF-8, separated by commas. Spaces around values are removed.
    wanted, optional
        Names of columns. A missing value, or a missing optional column, gives "". Other columns are ignored.
    instead_of
        What could be given instead of a CSV file, for the texts of errors.

    Raises
    ------
    InputError
        If the file cannot be read or is no CSV file, lacks a wanted column or has it twice, or a line has more values
        than the header.
    """
    expected = f"expected {instead_of}a CSV with the columns {','.join(wanted)}, got {path}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True, skipinitialspace=True)
            header = [name.strip() for name in next(rows, [])]
            if not set(wanted) <= set(header):
                raise InputError(f"{expected} with the header {','.join(header)[:80]!r}")
            repeated = [name for name in (*wanted, *optional) if header.count(name) > 1]
            if repeated:
                raise InputError(
                    f"{expected} with {header.count(repeated[0])} columns {repeated[0]!r}; remove all but one"
                )
            places = [header.index(name) if name in header else None for name in (*wanted, *optional)]
            for row in rows:
                if len(row) > len(header):
                    raise InputError(
                        f"{path}, line {rows.line_num}: expected {len(header)} values, got more; put a value with a "
                        "comma in quotation marks"
                    )
                if row:
                    yield (
                        rows.line_num,
                        tuple("" if i is None or i >= len(row) else row[i].strip() for i in places),
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{expected}, which is no CSV text in UTF-8: {one_line(error)}") from error
    except OSError as error:
        raise InputError(f"{expected}, which cannot be read: {one_line(error.strerror)}") from error
