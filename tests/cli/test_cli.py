"""The command line as a whole: help, mistakes, and what it loads."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import Simdnn

import simdnn
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown

COMMANDS = {
    (): ("fit", "calibrate", "check", "evaluate", "explain", "prototypes", "audit", "info", "demo"),
    ("fit",): (
        "--output",
        "[default: (vgg16, as in the paper)]",
        "[default: (torchvision's own)]",
        "--max-unreadable",
    ),
    ("check",): (
        "Exit status: 0 if every image was checked",
        "--json",
        "--audit",
        "--fail-on-attack",
        "--trust",
    ),
    ("calibrate",): ("--output", "--add", "[default: (the guard's own)]"),
    ("evaluate",): ("Exit status: 0 if every image was judged", "--json", "--output", "--alpha", "--rule"),
    ("explain",): ("[default: why.png]", "--alpha"),
    ("prototypes",): ("list", "show", "add", "remove", "relabel"),
    ("prototypes", "nowhere", "list"): ("--label", "--json"),
    ("prototypes", "nowhere", "show"): ("--output", "ID"),
    ("prototypes", "nowhere", "add"): ("--label", "The image to become a prototype."),
    ("prototypes", "nowhere", "remove"): ("ID",),
    ("prototypes", "nowhere", "relabel"): ("Its new class, known or new.",),
    ("audit",): ("list", "show", "label", "export"),
    ("info",): ("--json",),
    ("demo",): ("--output",),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [80, 200])
def test_help(
    simdnn: Simdnn, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], columns: int
) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", columns)
    code, out, err = simdnn(*command, "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= columns
    text = " ".join(re.sub(r"[^\x20-\x7e]", " ", out).split())
    if columns == 200:
        assert [part for part in COMMANDS[command] if part not in text] == []


MISTAKES = [
    (("check", "nowhere.simdnn", "."), "cannot read the guard nowhere.simdnn: No such file or directory"),
    (
        ("check", "GUARD", "nowhere"),
        "expected a file or folder, got nowhere, which does not exist or is out of reach",
    ),
    (("check", "GUARD", "EMPTY"), "expected images (.apng "),
    (("check", "GUARD", "IMAGE", "--rule", "best"), "no rule 'best'; the rules are "),
    (("check", "GUARD", "IMAGE", "--rule", "profile"), "this guard has no profile; "),
    (
        ("check", "GUARD", "IMAGE", "--alpha", "0"),
        "alpha is a false-alarm rate, expected between 0 and 1; got 0",
    ),
    (
        ("check", "GUARD", "IMAGE", "--alpha", "2"),
        "alpha is a false-alarm rate, expected between 0 and 1; got 2",
    ),
    (
        ("check", "GUARD", "IMAGE", "--alpha", "0.0001"),
        "119 calibration images cannot promise a false-alarm rate",
    ),
    (
        ("check", "GUARD", "IMAGE", "--weights", "no.pth"),
        "the guard needs the weights of simdnn.networks.digits:digits",
    ),
    (
        ("check", "GUARD", "IMAGE", "--weights", "a", "--weights", "b"),
        "expected weights once for each of the guard's",
    ),
    (("check", "GUARD", "IMAGE", "--audit-images", "x"), "--audit-images needs --audit, "),
    (("check", "IMAGE", "IMAGE"), "IMAGE is "),
    (("explain", "GUARD", "nowhere.png"), "nowhere.png: the file does not exist"),
    (
        ("explain", "GUARD", "IMAGE", "-o", "nowhere/why.png"),
        "there is no folder ",
    ),
    (
        ("explain", "GUARD", "IMAGE", "-o", "why.doc"),
        "expected a file that ends in .png, .svg, .pdf; got why.doc",
    ),
    (("info", "EMPTY"), "expected a guard file that `simdnn fit` wrote, got EMPTY, which is no file"),
    (("prototypes", "nowhere", "list"), "cannot read the guard nowhere: No such file or directory"),
    (("prototypes", "GUARD", "show", "7/999"), "no prototype '7/999'; the class '7' has 7/0, "),
    (
        ("prototypes", "GUARD", "show", "0/0", "-o", "picture.xyz"),
        "expected a picture's file name, such as picture.png; got picture.xyz",
    ),
    (
        ("prototypes", "GUARD", "show", "0/0", "-o", "nowhere/a.png"),
        "there is no folder ",
    ),
    (("prototypes", "GUARD", "remove", "cat/0"), "no prototype 'cat/0'; the classes are 0, 1, 2"),
    (("prototypes", "GUARD", "relabel", "0/0", "0"), "0/0 already has the label '0'"),
    (
        ("fit", "nowhere", "-o", "g", "DIGITS"),
        "expected a folder with one subfolder per class, or a CSV, got nowhere, ",
    ),
    (("fit", "EMPTY", "-o", "g", "DIGITS"), "expected one subfolder per class in EMPTY, got none"),
    (("fit", "TRAIN", "-o", "nowhere/g", "DIGITS"), "there is no folder "),
    (
        ("fit", "TRAIN", "-o", "EMPTY", "DIGITS"),
        "expected a file to write the guard to, got the folder EMPTY; add a",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--backbone", "vgg61", "--no-cache"),
        "expected the name of a torchvision classif",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--mean", "0.5", "DIGITS"),
        "--mean takes three numbers such as 0.5,0.5,0.5; got '0",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--std", "1,x,1", "DIGITS"),
        "--std takes three numbers such as 0.5,0.5,0.5; got '1",
    ),
    (("fit", "TRAIN", "-o", "g", "--std", "1,0,1", "DIGITS"), "expected std as three finite numbers above 0"),
    (
        ("fit", "TRAIN", "-o", "g", "--size", "0", "DIGITS"),
        "expected size as height and width, two positive int",
    ),
    (("fit", "TRAIN", "-o", "g", "--rule", "best", "DIGITS"), "no rule 'best'; the rules are "),
    (
        ("fit", "TRAIN", "-o", "g", "--rule", "similarity", "--level", "best", "DIGITS"),
        "no level 'best'; the levels are light, standard, full",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--alpha", "0", "DIGITS"),
        "alpha is a false-alarm rate, expected between 0 and 1",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--alpha", "2", "DIGITS"),
        "alpha is a false-alarm rate, expected between 0 and 1",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--calibration", "1", "DIGITS"),
        "the share to hold out for calibration is 0 or ",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--seed", "-1", "DIGITS"),
        "random_state is a seed, expected a whole number from",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--batch-size", "0", "DIGITS"),
        "Invalid value for '--batch-size': ",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--device", "abacus", "DIGITS"),
        "expected an available device, such as cpu or ",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--layers", "body", "DIGITS"),
        "expected the name of a layer of this DigitsNet",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--weights", "no.safetensors", "DIGITS"),
        "expected --weights once for each of the 1",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--layers", "a", "--layers", "b", "DIGITS"),
        "expected --layers once for each of the",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--backbone", "json:loads", "--no-cache"),
        "expected 'json:loads' to name a func",
    ),
    (
        ("fit", "TRAIN", "-o", "g", "--cache", "EMPTY", "DIGITS"),
        "the feature cache EMPTY cannot be used: ",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "said"), MISTAKES, ids=lambda value: "-".join(value) if type(value) is tuple else ""
)
def test_a_mistake_is_one_line_and_status_2(
    simdnn: Simdnn,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "GUARD").symlink_to(digits / "guard.simdnn")
    (tmp_path / "IMAGE").symlink_to(min((digits / "test" / "0").iterdir()))
    (tmp_path / "TRAIN").symlink_to(digits / "train")
    before = {path.name for path in tmp_path.iterdir()}
    network = [
        "--backbone",
        "simdnn.networks.digits:digits_network",
        "--weights",
        str(digits / "weights.safetensors"),
    ]
    expanded = [*arguments[:-1], *network] if arguments[-1] == "DIGITS" else list(arguments)
    if arguments[-1] == "DIGITS" and "--size" not in arguments:
        expanded += ["--size", "32"]
    if arguments[-1] == "DIGITS" and "--cache" not in arguments:
        expanded += ["--no-cache"]
    code, out, err = simdnn(*expanded)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}"), err
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_wrong_option_is_status_2(simdnn: Simdnn) -> None:
    code, out, err = simdnn("check", "--nonsense")
    assert (code, out) == (2, "")
    assert err == "error: No such option: --nonsense; see simdnn check --help\n"


@pytest.mark.parametrize(
    "module", ["simdnn", "simdnn.cli", "simdnn.cli, simdnn.errors, simdnn.guard.verdict"]
)
def test_what_is_heavy_is_loaded_when_it_is_used(module: str) -> None:
    heavy = "{'torch', 'torchvision', 'numba', 'sklearn', 'scipy', 'matplotlib', 'sqlalchemy', 'alembic', 'jinja2'}"
    code = f"import sys; import {module}; print(sorted({heavy} & set(sys.modules)))"
    began = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    assert time.perf_counter() - began < 10  # half a second where nothing else runs


def test_every_public_name_is_there() -> None:
    assert [getattr(simdnn, name).__name__ for name in simdnn.__all__] == simdnn.__all__
    with pytest.raises(AttributeError, match="module 'simdnn' has no attribute 'nonsense'"):
        _ = simdnn.nonsense


def test_a_reader_that_has_seen_enough(digits: Path) -> None:
    """As ``| head -1`` does."""
    command = [sys.executable, "-c", "from simdnn.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "check", str(digits / "guard.simdnn"), str(digits / "test"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as out, process.stderr as err:
        assert out.readline().startswith('{"path": ')
        out.close()
        assert err.read() == ""
    assert process.wait() == 141


def test_an_interrupt_ends_without_a_traceback(digits: Path) -> None:
    command = [sys.executable, "-c", "from simdnn.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "check", str(digits / "guard.simdnn"), *[str(digits / "test")] * 40],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in the background deaf to interrupts.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "")


def test_a_bar_is_drawn_on_screens_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn() -> str:
        with redirect_stderr(io.StringIO()) as screen, progress_bar("learning") as progress:
            progress(3, 12)
            progress(12, 12)
        return screen.getvalue()

    assert drawn() == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert re.search(r"learning .*12/12", drawn())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain köpek 犬.jpg", "plain köpek 犬.jpg"),
        ("a\nb\t\r", "a\\nb\\t\\r"),
        ("\x1b[2J\x9b", "\\x1b[2J\\x9b"),
        ("caf\udce9", "caf\\udce9"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_any_name_is_shown_as_one_harmless_line(text: str, line: str) -> None:
    assert shown(text) == line
