"""Files that only their owner may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from simdnn.atomic import keep_names


def create_private(path: Path) -> None:
    """Make an empty file of mode 0600 where there is none; SQLite would make one that others may read."""
    with suppress(OSError):  # it exists, or SQLite will say why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        keep_names(path.parent)
