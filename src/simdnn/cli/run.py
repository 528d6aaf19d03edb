"""Running a command so that it ends in an exit status and, where something is wrong, in one line: never a traceback."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import typer

from simdnn.cli.libraries import TORCH
from simdnn.cli.status import CLOSED_PIPE, CRASH, INTERRUPTED, MISTAKE, NOT_WRITTEN
from simdnn.cli.text import echo, give_up, shown
from simdnn.errors import OutputError, SimDNNError

DEBUG = "SIMDNN_DEBUG"
"""Environment variable that asks for the traceback of an internal error."""

_UsageError: type[Any] = typer.BadParameter.__mro__[1]
"""Of the Click that Typer uses, its own or another."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class _Warnings(logging.Handler):
    """Prints what the library warns of as one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(f"warning: {shown(record.getMessage())}", err=True)


def run(app: typer.Typer) -> int:
    """Run the command line and return its exit status, one of :mod:`simdnn.cli.status`."""
    log, warnings = logging.getLogger("simdnn"), _Warnings(logging.WARNING)
    log.addHandler(warnings)
    try:
        return _flushed(app)
    finally:
        log.removeHandler(warnings)


def _flushed(app: typer.Typer) -> int:
    """Run the command line; what cannot be written is found before Python's own end finds it."""
    try:
        status = _status(app)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        status = CLOSED_PIPE
    except OSError as error:
        status = _not_written(error)
    except typer.Exit as stop:  # what was to be said could not be
        status = stop.exit_code
    except SimDNNError:
        status = NOT_WRITTEN
    if status in (CLOSED_PIPE, NOT_WRITTEN):
        give_up()
    return status


def _status(app: typer.Typer) -> int:
    try:
        return app(prog_name="simdnn", standalone_mode=False) or 0
    except SimDNNError as error:
        echo(f"error: {shown(error)}", err=True)
        return NOT_WRITTEN if isinstance(error, OutputError) else MISTAKE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else 0
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.errno in _NO_ROOM:
            raise
        return _crashed(error)
    except Exception as error:
        if isinstance(error, _UsageError):
            return _misused(error)
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TORCH:
            echo(f"error: this command needs {error.name}; pip install 'simdnn[torch]'", err=True)
            return MISTAKE
        if type(error).__name__ == "OutOfMemoryError":  # PyTorch's
            echo(
                "error: the device has too little memory; give a smaller --batch-size, or --device cpu",
                err=True,
            )
            return MISTAKE
        return _crashed(error)


def _misused(error: Any) -> int:
    """Say what is wrong with the arguments, and where to look; what lacks them all has shown its help already."""
    if type(error).__name__ != "NoArgsIsHelpError":
        where = "simdnn" if error.ctx is None else error.ctx.command_path
        reason = shown(error.format_message().rstrip(".")).replace(r"\n", " ")
        echo(f"error: {reason}; see {shown(where)} --help", err=True)
    return MISTAKE


def _crashed(error: Exception) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exc()
        return CRASH
    reason = shown(f"{type(error).__name__}: {error}").replace(r"\n", " ")[:500]
    echo(
        f"internal error: {reason}; please report it, with what the same command prints under {DEBUG}=1",
        err=True,
    )
    return CRASH


def _not_written(error: OSError) -> int:
    with suppress(SimDNNError, typer.Exit):  # nor, perhaps, can that
        echo(f"error: cannot write: {shown(error.strerror)}", err=True)
    return NOT_WRITTEN
