"""fit, check and bench run with --ray, as a user runs them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.testing import assert_allclose
from tests.conftest import Simdnn
from typer.testing import CliRunner

from simdnn.audit.store import AuditStore
from simdnn.cli.optional_value import Ray, RayCommand
from simdnn.distributed.cluster import Cluster, connected
from simdnn.errors import InputError
from simdnn.guard.guard import Guard

NETWORK = "simdnn.networks.digits:digits_network"


def test_fit_and_check(
    cluster: Cluster, digits: Path, tmp_path: Path, simdnn: Simdnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simdnn.distributed.extractor.default_runs", lambda: tmp_path / "runs")
    common = ["--backbone", NETWORK, "--weights", digits / "weights.safetensors", "--size", 32, "--no-cache"]
    common += ["--mean", "0,0,0", "--std", "1,1,1", "--seed", 1, "--view-seed", 2, "--rule", "similarity"]
    one, many = tmp_path / "one.simdnn", tmp_path / "many.simdnn"
    assert simdnn("fit", digits / "train", "-o", one, *common)[0] == 0
    code, out, err = simdnn("fit", digits / "train", "-o", many, *common, "--ray")
    assert code == 0, err
    assert "prototypes of 10 classes" in out
    alone, spread = Guard.read(one), Guard.read(many)
    assert_allclose(spread.model.prototypes.vectors, alone.model.prototypes.vectors, atol=1e-6)
    assert spread.rule.threshold(alpha=0.05, m=3).offset == pytest.approx(
        alone.rule.threshold(alpha=0.05, m=3).offset, abs=1e-6
    )
    store = tmp_path / "audit.db"
    check = ["check", many, digits / "test" / "4", "--trust", NETWORK, "--json"]
    _, expected, _ = simdnn(*check)
    code, out, err = simdnn(*check, "--audit", store, "--audit-images", tmp_path / "kept", "--ray", "local")
    assert code == 0, err
    ours, theirs = ([json.loads(line) for line in text.splitlines()] for text in (out, expected))
    assert [(v["path"], v["verdict"], v["label"]) for v in ours] == [
        (v["path"], v["verdict"], v["label"]) for v in theirs
    ]
    with AuditStore.open(str(store), images=tmp_path / "kept") as kept:
        records = kept.records()
        assert sorted(r.path for r in records) == sorted(v["path"] for v in ours if v["verdict"] == "attack")
        assert all(kept.image(record) == Path(record.path).read_bytes() for record in records)
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_bench_measures_what_one_process_measures(
    cluster: Cluster, digits: Path, tmp_path: Path, simdnn: Simdnn
) -> None:
    plan = tmp_path / "plan.toml"
    experiments = Path("experiments").absolute()
    text = (experiments / "plans" / "digits.toml").read_text(encoding="utf-8")
    plan.write_text(text.replace("../weights", str(experiments / "weights")), encoding="utf-8")
    shutil.copytree(digits, tmp_path / "cache" / "digits")  # the images are written already
    cells = "method=sim-dnn similarity,column=noise 0.01"
    only = ["--only", cells, "--cache", tmp_path / "cache", "--dirty"]
    code, out, err = simdnn("bench", "run", plan, "--records", tmp_path / "many", *only, "--ray")
    assert code == 0, err
    assert "0 broken" in out
    lines = {
        name: [
            json.loads(line)
            for file in (tmp_path / name).glob("*.jsonl")
            for line in file.open(encoding="utf-8")
        ]
        for name in ("many", "one")
        if name == "many" or simdnn("bench", "run", plan, "--records", tmp_path / "one", *only)[0] == 0
    }
    assert lines["many"]
    assert [record["key"] for record in lines["many"]] == [record["key"] for record in lines["one"]]
    for ours, theirs in zip(lines["many"], lines["one"], strict=True):
        assert ours["metrics"].keys() == theirs["metrics"].keys()
        for name in ("accuracy", "auroc", "flagged"):
            assert ours["metrics"][name] == pytest.approx(theirs["metrics"][name]), name


def test_the_address_may_be_left_out() -> None:
    seen: list[list[str]] = []

    app = typer.Typer()

    @app.command(cls=RayCommand)
    def command(word: str, ray: Ray = None, other: bool = False) -> None:
        seen.append([word, str(ray), str(other)])

    for line in (
        ["a"],
        ["a", "--ray"],
        ["--ray", "--other", "a"],
        ["--ray", "auto", "a"],
        ["a", "--ray=ray://h:1"],
    ):
        assert CliRunner().invoke(app, line).exit_code == 0
    assert [row[1] for row in seen] == ["None", "local", "local", "auto", "ray://h:1"]


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'simdnn\[ray\]'"), connected():
        pass


def test_devices_that_a_cluster_cannot_give(cluster: Cluster) -> None:
    with pytest.raises(InputError, match="the device is cpu or cuda"), connected(device="mps"):
        pass
    with pytest.raises(InputError, match="expected graphics cards"), connected(device="cuda"):
        pass
    assert cluster.device == "cpu"


def test_classes_learned_in_tasks_are_those_learned_here(cluster: Cluster) -> None:
    from sklearn.datasets import load_digits

    from simdnn.distributed.learning import learn_on_ray
    from simdnn.paper.model import SimilarityModel

    features, labels = load_digits(return_X_y=True)
    features, labels = features.astype(np.float32), labels.astype(str)
    for shuffle in (False, True):
        one = SimilarityModel.learn(features, labels, shuffle=shuffle, seed=4)
        many = learn_on_ray(features, labels, shuffle=shuffle, seed=4, tasks=3)
        np.testing.assert_array_equal(one.prototypes.vectors, many.prototypes.vectors)
        np.testing.assert_array_equal(one.prototypes.variances, many.prototypes.variances)
        assert list(one.prototypes) == list(many.prototypes)
        np.testing.assert_array_equal(one.scaling.low, many.scaling.low)
