"""The command line: one small file per command. Heavy libraries are imported where a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simdnn import __version__
from simdnn.cli import (
    attack,
    audit_keep,
    bench,
    cache,
    calibrate,
    check,
    demo,
    evaluate,
    explain,
    export,
    fit,
    import_auxiliary,
    info,
    prototypes,
    serve,
    token,
    train_auxiliary,
)
from simdnn.cli.optional_value import RayCommand
from simdnn.cli.run import run
from simdnn.cli.text import echo

app = typer.Typer(
    name="simdnn",
    help="Tells when an image has been adversarially perturbed, and shows why.",
    epilog="Exit status: 0 done, 1 some images unreadable, 2 a mistake in the command or its input, 3 flagged "
    "(check --fail-on-attack), 70 internal error, 74 a result could not be written, 130 interrupted, 141 the reader of "
    "a pipe has gone. Under SIMDNN_DEBUG=1 an internal error shows where it happened; NO_COLOR is heeded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("fit", cls=RayCommand)(fit.fit)
app.command("export")(export.export)
app.command("calibrate")(calibrate.calibrate)
app.command("check", cls=RayCommand)(check.check)
app.command("evaluate")(evaluate.evaluate)
app.command("explain")(explain.explain)
app.add_typer(prototypes.app, name="prototypes")
app.command("info")(info.info)
app.add_typer(audit_keep.app, name="audit")  # the other commands of audit are its, too
app.command("serve")(serve.serve)
app.add_typer(token.app, name="token")
app.command("attack")(attack.attack)
app.command("train-auxiliary")(train_auxiliary.train_auxiliary)
app.command("import-auxiliary")(import_auxiliary.import_auxiliary)
app.add_typer(cache.app, name="cache")
app.add_typer(bench.app, name="bench")
app.command("demo")(demo.demo)


def _say_version(asked: bool) -> None:
    if asked:
        echo(f"simdnn {__version__}")
        raise typer.Exit


@app.callback()
def simdnn(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Tells when an image has been adversarially perturbed, and shows why."""


def main() -> None:
    """Run the command line and end with its exit status."""
    sys.exit(run(app))
