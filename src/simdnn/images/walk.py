"""List the files below a folder, each once, even if several links lead to it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simdnn.errors import InputError
from simdnn.images.formats import IMAGE_SUFFIXES


class Found(NamedTuple):
    """``images``, sorted, and ``passed_over``, the other files, sorted; a hidden folder counts as one file."""

    images: list[Path]
    passed_over: list[Path]


def images_below(folder: Path, seen: set[str] | None = None) -> Found:
    """List the images of a folder and its subfolders.

    Links to files and folders are followed. A file that several links lead to is listed once, by its real path if that
    is below the folder.

    Parameters
    ----------
    folder
        An existing folder.
    seen
        Real paths of files and folders that were listed before, to be left out; those listed now are added.

    Raises
    ------
    InputError
        If a folder cannot be listed.
    """
    seen = set() if seen is None else seen
    images: list[Path] = []
    passed_over: list[Path] = []
    links: list[Path] = []
    for path, real in _entries(folder, seen):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            passed_over.append(path)
        elif path.is_symlink():
            links.append(path)
        elif real not in seen:
            seen.add(real)
            images.append(path)
    for path in sorted(links):
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            images.append(path)
    return Found(sorted(images), sorted(passed_over))


def _entries(folder: Path, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield files and hidden folders, each with its path in the real folder.

    A folder is searched once, even if links lead to it; links are followed last.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}") from error

    waiting = deque([folder])
    while waiting:
        for parent, folders, files in os.walk(waiting.popleft(), onerror=refuse):
            here, real = Path(parent), os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            hidden = [name for name in folders if name.startswith(".")]
            yield from ((here / name, os.path.join(real, name)) for name in [*files, *hidden])
            below = [name for name in sorted(folders) if not name.startswith(".")]
            waiting += [here / name for name in below if (here / name).is_symlink()]
            folders[:] = [name for name in below if not (here / name).is_symlink()]
