"""Create the SQLite file of a store, readable by its owner only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from simdnn.atomic import sync_folder


def create_private(path: Path) -> None:
    """Create an empty file of mode 0600 if there is none; SQLite would create one that others may read."""
    with suppress(OSError):  # it exists, or SQLite will say why it cannot be created
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_folder(path.parent)
