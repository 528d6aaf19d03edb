"""Which options a command was given, as against those that have their defaults."""

from __future__ import annotations

from collections.abc import Collection

import typer


def given_beside(context: typer.Context, expected: Collection[str]) -> list[str]:
    """Return the arguments and options on the command line, as they are spelled, but for those expected.

    Parameters
    ----------
    context : of the command
    expected : names of the command's parameters, such as ``as_json``
    """
    given = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in expected:
            long = [option for option in parameter.opts if option.startswith("--")]
            given.append(long[0] if long else name.upper())
    return given
