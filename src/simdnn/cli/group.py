"""Commands below a file: ``simdnn prototypes GUARD list``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class BelowFile(TyperGroup):
    """A group of commands whose options, each with one value, may also stand between the file and the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put such options first, where the parser looks for them."""
        names = {name for parameter in self.params for name in parameter.opts if name.startswith("-")}
        file, rest, options = args[:1], args[1:], list[str]()
        while file and rest and rest[0].partition("=")[0] in names - {"--help"}:
            taken = 1 if "=" in rest[0] else 2
            options, rest = [*options, *rest[:taken]], rest[taken:]
        return super().parse_args(ctx, [*options, *file, *rest])
