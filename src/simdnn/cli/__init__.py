"""The command line: one small file per command. Heavy libraries are imported where a command runs."""

from __future__ import annotations

import sys

import typer

from simdnn.cli import attack, audit, bench, calibrate, check, demo, evaluate, explain, fit, info, prototypes
from simdnn.cli.text import shown
from simdnn.errors import SimDNNError

app = typer.Typer(
    name="simdnn",
    help="Tells when an image has been tampered with, and shows why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("fit")(fit.fit)
app.command("calibrate")(calibrate.calibrate)
app.command("check")(check.check)
app.command("evaluate")(evaluate.evaluate)
app.command("explain")(explain.explain)
app.add_typer(prototypes.app, name="prototypes")
app.add_typer(audit.app, name="audit")
app.command("attack")(attack.attack)
app.add_typer(bench.app, name="bench")
app.command("info")(info.info)
app.command("demo")(demo.demo)


def main() -> None:
    """Run the command line; an expected error is one line on stderr and exit status 2."""
    try:
        app()
    except SimDNNError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        sys.exit(2)
