"""Certified rates of a guard on digits: from votes to tables, and attacks within the radii."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.noisy_digits import noisy_auxiliary
from tests.trained_digits import TrainedDigits

from simdnn.errors import InputError
from simdnn.evaluation.certified.attack import attack_within
from simdnn.evaluation.certified.measure import measure_votes
from simdnn.evaluation.certified.report import certified_table, write_certified
from simdnn.evaluation.certified.summary import ERROR, MISS, RADII, certified_radii, summary
from simdnn.evaluation.records import Records
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor
from simdnn.smoothing.bounds import upper_bound
from simdnn.smoothing.radius import distance
from simdnn.smoothing.votes import share_needed

DRAWS = 200


@pytest.fixture(scope="module")
def guard(trained_digits: TrainedDigits) -> Guard:
    torch.set_num_threads(1)
    extractor = Extractor(
        [trained_digits.backbone()], auxiliary=noisy_auxiliary(trained_digits.folder), device="cpu"
    )
    return Guard.fit(trained_digits.folder / "train", extractor, view_seed=3, alpha=0.1)


@pytest.fixture(scope="module")
def some(trained_digits: TrainedDigits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six test images of each digit."""
    folder = tmp_path_factory.mktemp("certified") / "val"
    for label in map(str, range(10)):
        (folder / label).mkdir(parents=True)
        for path in sorted((trained_digits.folder / "test" / label).iterdir())[:6]:
            (folder / label / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("votes") / "votes.jsonl"


@pytest.fixture(scope="module")
def votes(guard: Guard, some: Path, records: Path) -> list[dict[str, object]]:
    return measure_votes(guard, some, DRAWS, Records(records))


def test_a_stopped_run_goes_on_where_it_was(guard: Guard, some: Path, tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_votes(guard, some, 20, Records(file), stop)
    before = file.read_text()
    assert len(before.splitlines()) == 7
    told: list[tuple[int, int]] = []
    found = measure_votes(guard, some, 20, Records(file), lambda done, total: told.append((done, total)))
    assert told == [(done, 60) for done in range(8, 61)]
    assert file.read_text().startswith(before)
    whole = measure_votes(guard, some, 20, Records(tmp_path / "whole.jsonl"))
    for one, other in zip(found, whole, strict=True):
        assert one.pop("scores") == pytest.approx(other.pop("scores"), rel=1e-4)  # batches differ by rounding
        assert one == other


def test_radii_are_those_of_the_bounds_by_hand(guard: Guard, votes: list[dict[str, object]]) -> None:
    needed = guard.rule.votes_needed(guard.threshold(alpha=0.1), 32)
    share = share_needed(needed / 32, 32, MISS)
    expected = []
    for record in votes:
        counts = np.array(record["counts"])
        wrong = np.delete(counts, int(str(record["label"])))
        worst = upper_bound(wrong.max(), counts.sum(), ERROR / 9)
        expected.append(float(distance(worst, share, sigma=0.5, norm=0.5)))
    radii = certified_radii(guard, votes, 0.1)
    np.testing.assert_allclose(radii, expected)
    assert (radii > 0.5).mean() > 0.5
    assert (certified_radii(guard, votes, 0.05) <= radii).all()


def test_the_summary_counts(guard: Guard, votes: list[dict[str, Any]], tmp_path: Path) -> None:
    found = summary(guard, votes)
    assert (found["images"], found["certificate_draws"], found["rule_draws"]) == (60, DRAWS, 32)
    assert guard.extractor.auxiliary is not None
    assert found["auxiliary"] == guard.extractor.auxiliary.identity
    assert list(found["rules"]) == ["profile+opinion", "second-opinion"]
    for rule, rows in found["rules"].items():
        row = next(row for row in rows if row["alpha"] == 0.1)
        radii = certified_radii(guard, votes, 0.1, rule)
        for radius, cell in zip(RADII, row["certified"], strict=True):
            assert cell["value"] == (radii > radius).mean()
            assert cell["low"] <= cell["value"] <= cell["high"]
        scores = np.array([record["scores"][rule] for record in votes])
        assert row["false_alarms"]["value"] == np.mean(scores < guard.threshold(rule, alpha=0.1))
    alone = certified_radii(guard, votes, 0.1, "second-opinion")
    assert (alone >= certified_radii(guard, votes, 0.1)).all()  # all of the false alarms are its own
    written = write_certified(found, tmp_path)
    assert {path.name for path in written} == {f"certified.{kind}" for kind in ("json", "md", "png", "svg")}
    assert json.loads((tmp_path / "certified.json").read_text())["rules"] == found["rules"]
    assert (
        certified_table(found)
        .splitlines()[0]
        .endswith("| certified at L2 0.25 | certified at L2 0.5 | certified at L2 1 |")
    )


def test_no_attack_passes_within_a_certified_radius_and_some_do_beyond(
    guard: Guard, votes: list[dict[str, object]], trained_digits: TrainedDigits
) -> None:
    radii = certified_radii(guard, votes, 0.1)
    paths = [Path(str(record["image"])) for record in votes][::3]
    labels = [str(record["label"]) for record in votes][::3]
    found = attack_within(guard, paths, labels, radii[::3], alpha=0.1, steps=15)
    assert found.tried == (radii[::3] > 0).sum()
    assert found.wrong > 5  # the attack is strong enough to change the network's class
    with pytest.raises(AssertionError, match=r"was certified up to 3\.000, and an attack within that passes"):
        attack_within(guard, paths, labels, np.full(len(paths), 3.0), alpha=0.1, steps=15)


def test_images_of_an_unknown_class_are_refused(guard: Guard, tmp_path: Path, some: Path) -> None:
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "a.png").write_bytes(next((some / "0").iterdir()).read_bytes())
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "a.png").write_bytes(next((some / "0").iterdir()).read_bytes())
    with pytest.raises(InputError, match="the guard does not know the classes owl"):
        measure_votes(guard, tmp_path, 10, Records(tmp_path / "votes.jsonl"))
