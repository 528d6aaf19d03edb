"""``simdnn token``: who may ask the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import AsJson
from simdnn.cli.text import echo, shown

app = typer.Typer(help="Add, list and revoke the tokens of the service.", no_args_is_help=True)

File = Annotated[
    Path, typer.Option("--file", help="The file of tokens, as `simdnn serve --token-file` reads it.")
]
Name = Annotated[str, typer.Argument(help="Whose token it is.")]


@app.command()
def add(
    name: Name,
    file: File,
    role: Annotated[
        str, typer.Option(help="checker: have images checked; auditor: see and label what was flagged, too.")
    ] = "checker",
) -> None:
    """Make a token, and print it: it is kept nowhere."""
    from simdnn.service.tokens import add_token

    echo(add_token(file, name, role))


@app.command("list")
def list_tokens(file: File, as_json: AsJson = False) -> None:
    """List whose tokens there are, in which role, and since when."""
    from simdnn.service.tokens import read_tokens

    for token in read_tokens(file):
        facts = {"name": token.name, "role": token.role, "created": token.created}
        echo(json.dumps(facts) if as_json else shown(f"{token.role:<8} {token.created}  {token.name}"))


@app.command()
def revoke(name: Name, file: File) -> None:
    """Revoke a token: it is refused from now on, also by a service that runs."""
    from simdnn.service.tokens import revoke_token

    revoke_token(file, name)
    echo(shown(f"revoked the token of {name}"))
