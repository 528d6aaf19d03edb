"""Write files atomically: completely or not at all, readable by their owner only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it replaces ``path``, with mode 0600, once all of it is on the disk.

    If the block or the disk fails, a file that was there before is left as it was, and no temporary file remains. If
    the path is a link, the file that it leads to is replaced. A device or a pipe is written directly.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as device:
            yield device
        return
    descriptor, temporary = mkstemp(dir=target.parent, prefix=".simdnn-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk; otherwise a crash can undo that a file was renamed."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
