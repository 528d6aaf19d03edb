"""Write files atomically: completely or not at all, new ones readable by their owner only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO


@contextmanager
def whole_file(path: Path | str, *, keep_access: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing; it gets its name once all of it is on the disk.

    It has mode 0600, or the mode, owner and group of the file that was there before if ``keep_access`` says so. Where
    the path is a link, the file behind it is replaced. A device or a pipe is written as it is. Where the block or the
    disk fails, no temporary file stays, and a file that was there before is left as it was.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = Path(path)
    before = _status(path)
    if before is not None and not stat.S_ISREG(before.st_mode):
        with path.open("wb") as device:  # a folder fails here
            yield device
        return
    target = Path(os.path.realpath(path))
    descriptor, temporary = mkstemp(dir=target.parent, prefix=".simdnn-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if keep_access and before is not None:
                _keep_access(file.fileno(), before)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def write_whole(path: Path | str, content: bytes, *, keep_access: bool = False) -> None:
    """Write a file's content at once; as `whole_file`."""
    with whole_file(path, keep_access=keep_access) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk; otherwise a crash can undo that a file was renamed."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _keep_access(descriptor: int, before: os.stat_result) -> None:
    """Give a new file the owner, group and mode of the one that it replaces.

    Who may not give it away stays its owner; where even the group cannot be kept, the group's rights go with it.
    """
    if os.name != "posix":
        return
    now, mode = os.fstat(descriptor), stat.S_IMODE(before.st_mode)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        except PermissionError:
            try:
                os.fchown(descriptor, -1, before.st_gid)
            except PermissionError:
                mode &= ~stat.S_IRWXG
    os.fchmod(descriptor, mode)
