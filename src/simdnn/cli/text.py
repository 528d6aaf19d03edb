"""What is printed for people: names that may hold anything, and tables."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import typer

from simdnn.cli.status import CLOSED_PIPE
from simdnn.errors import OutputError

if TYPE_CHECKING:
    from rich.table import Table

    from simdnn.guard.verdict import Verdict

WIDE = 10_000
"""Columns where the reader is no screen: one line a row."""


def shown(text: object) -> str:
    r"""Return a text as one printable line: a file's name may hold line breaks, or orders to the terminal.

    >>> shown("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def coloured(text: str, colour: str) -> str:
    """Return a text in a colour; as it is where NO_COLOR or a terminal without colours asks for that."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return typer.style(text, fg=colour)


def echo(text: str = "", *, err: bool = False) -> None:
    r"""Print a text and a line break; what the stream's encoding lacks is written as ``\x``, ``\u`` or ``\U``.

    Colours are left out where the stream is no terminal. What came from outside goes through :func:`shown` first.

    Raises
    ------
    OutputError
        If the stream cannot be written, for instance because the disk is full.
    typer.Exit
        With status 141 and no word, if the reader of a pipe has gone.
    """
    stream: TextIO | None = sys.stderr if err else sys.stdout
    if stream is None:  # the caller has closed it
        return
    try:
        typer.echo(_encodable(text, stream), err=err)
    except OSError as error:
        give_up(stream)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(CLOSED_PIPE) from error
        raise OutputError(
            f"cannot write to standard {'error' if err else 'output'}: {error.strerror}"
        ) from error


def print_table(table: Table) -> None:
    """Print a table as it is: a name may look like markup or an emoji."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)
    with console.capture() as printed:
        console.print(table)
    echo(printed.get().rstrip("\n"))


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def give_up(*streams: TextIO) -> None:
    """Send what streams (default: all) still hold nowhere, so that Python does not fail once more when it ends."""
    for stream in streams or (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # no file behind it
            descriptor = stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def second_opinion(verdict: Verdict) -> str:
    """Say, after a semicolon, what the second opinion is and what it certifies; nothing without one."""
    if verdict.opinion is None:
        return ""
    text = f"; second opinion: {verdict.opinion:.0%} of the draws say {verdict.opinion_class}"
    if verdict.certified_radius is None:
        return text
    if not verdict.certified_radius:
        return f"{text}; nothing is certified"
    return (
        f"{text}; no change smaller than {verdict.certified_radius:.2f} (L2) can be why both networks say "
        f"{verdict.opinion_class}"
    )
