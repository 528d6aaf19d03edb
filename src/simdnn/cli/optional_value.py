"""Commands with an option that may stand without its value."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Run the networks on a Ray cluster: its address, auto for the one of this machine, or none to start one "
        "for as long as it takes.",
        show_default="in this process",
        rich_help_panel="Speed and cache",
    ),
]


class RayCommand(TyperCommand):
    """A command whose option --ray stands for a cluster of this machine's own where no address follows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the value that was left out."""
        following = [*args[1:], "-"]
        whole = [
            f"{arg}=local" if arg == "--ray" and after.startswith("-") else arg
            for arg, after in zip(args, following, strict=False)
        ]
        return super().parse_args(ctx, whole)
