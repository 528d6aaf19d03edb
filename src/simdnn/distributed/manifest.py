"""The finished blocks of a run, on disk: a driver that is killed goes on from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_path

from simdnn.atomic import write_whole
from simdnn.distributed.blocks import Block
from simdnn.errors import OutputError

_SUFFIX = ".block"
_START = "started"


def default_runs() -> Path:
    """Return the folder of unfinished runs in the user's cache folder."""
    return user_cache_path("simdnn") / "ray"


class Manifest:
    """A folder with one file for each finished block, named by the hash of its content.

    Parameters
    ----------
    folder : made if it is not there, for its owner's eyes only

    Raises
    ------
    OutputError
        If the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            start = folder / _START
            if not start.exists():
                write_whole(start, datetime.now(UTC).isoformat().encode())
            self.started = datetime.fromisoformat(start.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(
                f"cannot keep finished blocks in {folder}: {error}; remove that folder"
            ) from error

    def add(self, raw: bytes) -> None:
        """Keep an encoded block; once this returns, no crash loses it. OutputError if it cannot be written."""
        try:
            write_whole(self.folder / f"{sha256(raw).hexdigest()}{_SUFFIX}", raw)
        except OSError as error:
            raise OutputError(f"cannot keep a finished block in {self.folder}: {error.strerror}") from error

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks that are there; one that is damaged is removed, and its images are run again."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            raw = path.read_bytes()
            if sha256(raw).hexdigest() != path.stem:
                path.unlink()
                continue
            yield Block.decode(raw)

    def forget(self) -> None:
        """Remove all: the run is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
