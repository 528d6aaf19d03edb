"""A record counts for as long as all that determines its cell is as it was, and again once it is so again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from simdnn.evaluation.plan import Plan
from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.run import run
from simdnn.evaluation.status import CellStatus, statuses
from simdnn.evaluation.tables import tables
from simdnn.evaluation.tested_network import Folders, TestedNetwork
from simdnn.progress import Progress

PLAN = """
title = "Fresh"
metrics = ["eq_14"]
methods = ["none"]
{more}

[datasets.digits]
fit = "{digits}/train"
test = "{digits}/test"
fit_images = 20
test_images = 20

[networks.digits]
dataset = "digits"
backbone = "simdnn.networks.digits:digits_network"
weights = "w.safetensors"
mean = [0, 0, 0]
std = [1, 1, 1]
size = 32
"""


@contextmanager
def no_bars(title: str) -> Iterator[Progress]:
    del title
    yield lambda _, __: None


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "cache", tmp_path / "weights")


def read(folder: Path, digits: Path, more: str = "") -> Plan:
    (folder / "w.safetensors").write_bytes((digits / "weights.safetensors").read_bytes())
    (folder / "weights").mkdir()
    (folder / "cache").mkdir()
    path = folder / "fresh.toml"
    path.write_text(PLAN.format(digits=digits, more=more), encoding="utf-8")
    return read_plan(path)


def test_weights_that_come_back_bring_their_record_back(
    tmp_path: Path, digits: Path, folders: Folders
) -> None:
    plan = read(tmp_path, digits)
    weights, lines = tmp_path / "w.safetensors", list[str]()
    before = weights.read_bytes()

    def measure() -> tuple[CellStatus, float | None]:
        run(plan, Records(plan.records), folders, no_bars, lines.append)
        (status,) = statuses(plan, Records(plan.records), folders, no_bars)
        ((_, cells),) = tables(plan, list(Records(plan.records)))[0].rows
        return status, cells[-1].value

    good = measure()
    save_file({name: 0 * tensor for name, tensor in load_file(weights).items()}, weights)
    bad = measure()
    assert (good[0].state, bad[0].state, len(lines)) == ("current", "current", 2)
    assert good[1] != bad[1]
    weights.write_bytes(before)
    assert measure() == good
    assert len(lines) == 2  # nothing was measured again
    size = plan.records.stat().st_size
    assert measure() == good
    assert plan.records.stat().st_size == size


def test_the_weights_of_a_defence_decide_its_cells_and_no_others(
    tmp_path: Path, digits: Path, folders: Folders
) -> None:
    through = (
        'attacks = [{ attack = "fgsm", eps = 0.1 }, { attack = "fgsm", eps = 0.1, through = "resupnet" }]'
    )
    plan = read(tmp_path, digits, through)
    _, bare, attacked = plan.columns
    cells = [(c, m) for c in plan.columns for m in ("none", "bart", "resupnet", "sim-dnn similarity")]

    def keys() -> list[str]:
        with TestedNetwork(plan, plan.networks[0], folders, no_bars) as tested:
            return [tested.key(*cell) for cell in cells]

    with TestedNetwork(plan, plan.networks[0], folders, no_bars) as tested:
        assert tested.absent(bare, "none") == ""
        expected = f"the weights of resupnet are not in {tmp_path / 'weights'}"
        assert [tested.absent(attacked, "none"), tested.absent(attacked, "resupnet")] == [expected] * 2
    file = tmp_path / "weights" / "resupnet.safetensors"
    file.write_bytes(b"one")
    one = keys()
    file.write_bytes(b"another")
    changed = [cell for cell, before, after in zip(cells, one, keys(), strict=True) if before != after]
    assert changed == [(c, m) for c, m in cells if c is attacked or m == "resupnet"]
    assert len(changed) == 6
    file.unlink()
    without = keys()
    assert [before for before, (c, m) in zip(one, cells, strict=True) if (c, m) not in changed] == [
        after for after, (c, m) in zip(without, cells, strict=True) if (c, m) not in changed
    ]
