"""The table of docs/paper.md names every equation once, and functions that exist and say which equation they are."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "paper.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
][2:]
NAMES = [(equation, name) for equation, _, names, _ in ROWS for name in re.findall(r"`([\w.]+)`", names)]


def named(name: str) -> Any:
    """Return the module, class or function of that name."""
    module, _, attribute = name.rpartition(".")
    found = import_module(module or "simdnn.paper.equations")
    return getattr(found, attribute) if hasattr(found, attribute) else import_module(name)


def equations_in(docstring: str) -> set[str]:
    """Return "7" for each equation that a text cites as "Eq. (7)" or "eqs. (7) and (8)", and "line 11" for a line."""
    cited = re.findall(r"\beqs?\. ((?:\(?\d+\)?(?:, | and )?)+)", docstring, re.IGNORECASE)
    lines = re.findall(r"\bline \d+", docstring, re.IGNORECASE)
    return {number for text in cited for number in re.findall(r"\d+", text)} | {
        line.lower() for line in lines
    }


def test_every_equation_is_there_once_in_order_of_use() -> None:
    numbered = [int(row[0]) for row in ROWS if row[0].isdecimal()]
    assert numbered == list(range(1, 15))
    assert [row[0] for row in ROWS if not row[0].isdecimal()] == ["line 2", "line 11"]
    assert all(len(row) == 4 and all(row) for row in ROWS)
    assert {equation for equation, _ in NAMES} == {row[0] for row in ROWS}


@pytest.mark.parametrize(("equation", "name"), NAMES)
def test_the_function_exists_and_names_its_equation(equation: str, name: str) -> None:
    function = named(name)
    assert callable(function)
    if function.__module__.startswith("simdnn."):
        assert equation in equations_in(function.__doc__)


def test_every_public_equation_is_on_the_page() -> None:
    module = import_module("simdnn.paper.equations")
    defined = {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert defined - {name for _, name in NAMES} == {"squared_distances"}  # what several of them share


def test_names_in_the_text_exist() -> None:
    for name in re.findall(r"`((?:simdnn|sklearn)\.[\w.]+)`", PAGE.read_text(encoding="utf-8")):
        assert named(name).__doc__
