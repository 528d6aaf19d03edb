"""Paths given on the command line, or as a list on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from simdnn.cli.text import echo, shown
from simdnn.errors import InputError
from simdnn.images.files import search_images


def images_named(paths: Iterable[Path], *, null: bool) -> list[Path]:
    """List the images that files, folders and ``-`` name; what is passed over is counted on standard error.

    Parameters
    ----------
    paths : files and folders; ``-`` stands for those on standard input
    null : whether those on standard input end in NUL instead of a line break

    Raises
    ------
    InputError
        As `search_images`, and if standard input names nothing.
    """
    named: list[Path] = []
    for path in paths:
        named += _listed(null) if str(path) == "-" else [path]
    found = search_images(named)
    if found.passed_over:
        number = len(found.passed_over)
        echo(
            f"passed over {number:,} other file{'s' * (number > 1)}, such as {shown(found.passed_over[0])}",
            err=True,
        )
    return found.images


def _listed(null: bool) -> list[Path]:
    """Read one path a line, in the encoding of file names; empty lines count for nothing."""
    raw = b"" if sys.stdin is None else sys.stdin.buffer.read()
    lines = raw.split(b"\0") if null else [line.removesuffix(b"\r") for line in raw.split(b"\n")]
    paths = [Path(os.fsdecode(line)) for line in lines if line]
    if not paths:
        raise InputError("expected paths on standard input, one a line, got none")
    return paths
