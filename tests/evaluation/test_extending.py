"""The example of docs/extending.md runs as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import Simdnn
from tests.trained_digits import TrainedDigits, cache_digits

from simdnn.evaluation.records import Records

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_a_detector_of_ones_own_runs_beside_the_others(
    simdnn: Simdnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained_digits: TrainedDigits
) -> None:
    cache_digits(trained_digits, tmp_path / "cache")
    code = re.findall(
        r"```(?:python|toml)\n# ([\w.]+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert [name for name, _ in code] == ["spread.py", "mine.toml"]
    for name, text in code:
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    done, out, err = simdnn("bench", "run", "mine.toml", "--cache", tmp_path / "cache")
    assert done == 0, err
    records = {(r["method"], r["column"]): r for r in Records(tmp_path / "records" / "mine.jsonl")}
    assert not any("error" in record for record in records.values()), out
    own = records["spread:Spread", "fgsm-0.1"]["metrics"]["auroc"]
    assert 0 < own["value"] < records["sim-dnn similarity", "fgsm-0.1"]["metrics"]["auroc"]["value"]
    assert len(set(records["spread:Spread", "clean"]["scores"])) > 100
    done, out, _ = simdnn("bench", "report", "mine.toml", "-o", "report")
    assert done == 0
    assert "spread:Spread" in Path("report/index.html").read_text(encoding="utf-8")
