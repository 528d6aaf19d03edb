"""The prototypes of a guard: listed, shown and edited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.output import lines
from tests.conftest import Simdnn

from simdnn.guard.guard import Guard


def test_prototypes_list_and_show(simdnn: Simdnn, guard: Path, tmp_path: Path) -> None:
    loaded = Guard.load(guard)
    code, out, err = simdnn("prototypes", guard, "list")
    rows = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert rows[0] == ["prototype", "support", "sigma", "exemplar"]
    assert rows[1:] == [
        [p.id, str(p.support), f"{p.sigma:.4g}", loaded.exemplar(p.exemplar).name]
        for p in loaded.model.prototypes
    ]
    some = lines(simdnn("prototypes", guard, "list", "--label", "3", "--json")[1])
    assert [row["id"] for row in some] == [p.id for p in loaded.model.prototypes if p.label == "3"]

    first = loaded.model.prototypes["3/0"]
    name = loaded.exemplar(first.exemplar).name
    picture = tmp_path / "exemplar.png"
    code, out, _ = simdnn("prototypes", guard, "show", "3/0", "-o", picture)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["id", "3/0"],
        ["label", "3"],
        ["support", str(first.support)],
        ["sigma", str(first.sigma)],
        ["exemplar", name],
        ["wrote", str(picture)],
    ]
    with Image.open(picture) as shown:
        assert shown.size == (96, 96)
    assert lines(simdnn("prototypes", guard, "show", "3/0", "--json")[1])[0]["exemplar"] == name


def test_a_table_keeps_names_that_look_like_markup(simdnn: Simdnn, guard: Path) -> None:
    label = "[red]:dog: " + "long" * 60
    assert simdnn("prototypes", guard, "relabel", "3/0", label)[0] == 0
    out = simdnn("prototypes", guard, "list", "--label", label)[1]
    assert f"{label}/0 " in out
    assert len(out.splitlines()) == 2


def test_prototypes_are_edited(simdnn: Simdnn, guard: Path, clean: Path) -> None:
    n = len(Guard.load(guard).model.prototypes)
    assert simdnn("prototypes", guard, "add", clean, "--label", "mine") == (
        0,
        f"added mine/0; {guard} now has {n + 1} prototypes\n",
        "",
    )
    (row,) = lines(simdnn("check", guard, clean, "--json")[1])
    assert (row["label"], row["prototype"]) == ("mine", "mine/0")
    assert np.isclose(row["score"], 1.0)
    assert simdnn("prototypes", guard, "relabel", "mine/0", "yours")[1] == (
        f"mine/0 is now yours/0; {guard} now has {n + 1} prototypes\n"
    )
    assert (
        simdnn("prototypes", guard, "remove", "yours/0")[1]
        == f"removed yours/0; {guard} now has {n} prototypes\n"
    )
    (row,) = lines(simdnn("check", guard, clean, "--json")[1])
    assert row["label"] != "yours"


def test_a_prototype_of_what_cannot_be_read(simdnn: Simdnn, guard: Path, broken: Path) -> None:
    before = guard.read_bytes()
    code, out, err = simdnn("prototypes", guard, "add", broken, "--label", "mine")
    assert (code, out, err) == (2, "", f"error: {broken}: the file is empty\n")
    assert guard.read_bytes() == before


def test_an_exported_guard_is_not_edited(simdnn: Simdnn, guard: Path, clean: Path) -> None:
    pytest.importorskip("onnx")
    exported = guard.with_name("guard.onnx")
    assert simdnn("export", guard, "-o", exported)[0] == 0
    before = exported.read_bytes()
    edits = (("remove", "3/0"), ("relabel", "3/0", "mine"), ("add", clean, "--label", "mine"))
    for edit in edits:
        code, out, err = simdnn("prototypes", exported, *edit)
        assert (code, out) == (2, "")
        assert f"expected a guard file that `simdnn fit` wrote, got {exported}, an exported one" in err
        assert "edit guard.simdnn, the one it was made from, and export it again" in err
    assert exported.read_bytes() == before
    assert simdnn("prototypes", exported, "show", "3/0")[0] == 0
