"""Write what is for others to read: reports, tables and figures."""

from __future__ import annotations

from pathlib import Path

from simdnn.atomic import write_whole
from simdnn.errors import OutputError


def write_readable(path: Path, content: str | bytes) -> None:
    """Write a file, completely or not at all; others may read it as any file that its owner makes.

    Where the disk fails, a file that was there before is left as it was.

    Parameters
    ----------
    path : the file
    content : text is written in UTF-8, with escapes for what no encoding has

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    raw = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        new = not path.exists()
        if new:
            path.touch()  # for the usual access, which write_whole keeps
        try:
            write_whole(path, raw, keep_access=True)
        except BaseException:
            if new:
                path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
