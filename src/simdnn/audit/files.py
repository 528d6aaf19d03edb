"""Files that only their owner may read, and that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it gets its name, mode 0600, once all of it is on the disk.

    A device or a pipe is written as it is. Where the block or the disk fails, no temporary file stays and a file
    that was there before is left as it was.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
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
    _keep_names(target.parent)


def create_private(path: Path) -> None:
    """Make an empty file of mode 0600 where there is none; SQLite would make one that others may read."""
    with suppress(OSError):  # it exists, or SQLite will say why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _keep_names(path.parent)


def _keep_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a renamed file is lost with its folder's entry."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
