"""A file that is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds either the old content or all of the new; OSError if it fails.

    Where the path is a link, the file behind it is replaced.
    """
    target = os.path.realpath(path)
    descriptor, temporary = mkstemp(dir=os.path.dirname(target), prefix=".simdnn-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
