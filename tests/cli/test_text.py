"""Whatever a name holds and whatever the screen can show, printing it ends no run."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from simdnn.cli.text import echo, print_table, shown

PRINT = """
import sys, typer
from simdnn.cli.text import coloured, echo
from simdnn.errors import OutputError
try:
    echo(coloured("attack", "red") + sys.argv[1])
    for _ in range(int(sys.argv[2])):
        echo("more")
except OutputError as error:
    sys.exit(f"error: {error}")
except typer.Exit as error:
    sys.exit(error.exit_code)
"""
NAME = "caf\udce9 \u65e5\u672c \U0001f600"


def _environment(**values: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    return {name: value for name, value in inherited.items() if name not in ("NO_COLOR", "TERM")} | values


def _command(name: str = "x", more: int = 0) -> list[str]:
    return [sys.executable, "-c", PRINT, name, str(more)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PYTHONIOENCODING": "ascii"}, rb"attackcaf\udce9 \u65e5\u672c \U0001f600"),
        ({"PYTHONIOENCODING": "cp1252"}, rb"attackcaf\udce9 \u65e5\u672c \U0001f600"),
        ({"PYTHONIOENCODING": "utf-8"}, "attackcaf\\udce9 \u65e5\u672c \U0001f600".encode()),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
         rb"attackcaf\udce9 \udce6\udc97\udca5\udce6\udc9c\udcac \udcf0\udc9f\udc98\udc80"),
    ],
)  # fmt: skip
def test_a_name_that_the_encoding_lacks_is_written_with_escapes(
    settings: dict[str, str], said: bytes
) -> None:
    """In a locale without UTF-8 Python itself reads an argument's bytes as lone surrogates."""
    done = subprocess.run(_command(NAME), capture_output=True, env=_environment(**settings), check=True)
    assert done.stdout.strip() == said
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TERM": "xterm"}, "\x1b[31mattack\x1b[0mx\r\n"),
        ({"TERM": "xterm", "NO_COLOR": ""}, "\x1b[31mattack\x1b[0mx\r\n"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "attackx\r\n"),
        ({"TERM": "dumb"}, "attackx\r\n"),
    ],
)
def test_colours_on_a_screen_are_left_out_on_demand(settings: dict[str, str], said: str) -> None:
    screen, ours = pty.openpty()
    subprocess.run(_command(), stdout=ours, env=_environment(**settings), check=True)
    os.close(ours)
    assert os.read(screen, 1000).decode() == said
    os.close(screen)


def test_no_colours_in_a_pipe() -> None:
    done = subprocess.run(_command(), capture_output=True, env=_environment(TERM="xterm"), check=True)
    assert done.stdout == b"attackx\n"


def test_a_full_disk_is_one_line_on_stderr() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device that is always full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(_command(), stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        b"error: cannot write to standard output: No space left on device\n",
    )


def test_a_closed_pipe_ends_the_run_without_a_word() -> None:
    with subprocess.Popen(_command(more=100_000), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"attackx\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_orders_to_a_terminal_are_shown_and_not_given() -> None:
    assert shown("a\nb\r\x1b]0;owned\x07\u202e\u2028\x9b2J") == r"a\nb\r\x1b]0;owned\x07\u202e\u2028\x9b2J"
    assert shown("k\u00f6pek \u65e5\u672c.png") == "k\u00f6pek \u65e5\u672c.png"


def test_a_table_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", box=None)
    table.add_row("[red]x :dog: \udce9")
    print_table(table)
    echo("error", err=True)
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()] == ["name", r"[red]x :dog: \udce9"]
    assert err == "error\n"
