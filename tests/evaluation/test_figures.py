"""Figures draw of each cell the record that counts, and no other cell's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from simdnn.evaluation import figures
from simdnn.evaluation.freshness import describe
from simdnn.evaluation.plan_file import read_plan


def test_roc_curves_are_of_the_bare_network_and_of_the_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        """
        title = "Curves"
        methods = ["knn"]
        attacks = [{ attack = "fgsm", eps = 0.1 }, { attack = "fgsm", eps = 0.1, through = "bart" }]
        [datasets.some]
        fit = "a"
        test = "b"
        [networks.VGG]
        dataset = "some"
        backbone = "vgg16"
        """,
        encoding="utf-8",
    )
    plan = read_plan(path)
    clean, bare, through = plan.columns

    def record(column: Any, key: str, scores: list[float]) -> dict[str, Any]:
        return describe(plan, plan.networks[0], column, "knn") | {"key": key, "scores": scores}

    drawn: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        drawn.append(figure)
        return path

    monkeypatch.setattr(figures, "_save", keep)
    records = [
        record(clean, "c", [0.6, 0.8]),
        record(bare, "old", [0.9, 0.9]),
        record(bare, "new", [0.1, 0.2]),
        record(through, "t", [0.9, 0.9]),
    ]
    figures.draw_figures(plan, records, [], tmp_path)
    (roc,) = drawn
    curves = [line.get_xydata() for line in roc.axes[0].lines if line.get_color() != "0.8"]
    points = [curve.tolist() for curve in map(np.asarray, curves) if len(curve)]
    assert points == [[[0, 0], [0, 0.5], [0, 1], [1, 1]]]
