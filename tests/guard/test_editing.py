"""Prototypes edited by hand: the guard follows, and nothing else changes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simdnn.errors import ImageReadError, InputError
from simdnn.guard.guard import Guard
from simdnn.guard.verdict import Verdict
from simdnn.networks.cache import FeatureCache


def load(path: Path) -> Guard:
    """Load a guard that asks its network about each image once: a second run may differ in the last digit."""
    guard = Guard.load(path)
    guard.extractor.cache = FeatureCache(path.parent / "features.sqlite")
    return guard


@pytest.fixture
def guard(digits: Path, tmp_path: Path) -> Guard:
    return load(copyfile(digits / "guard.simdnn", tmp_path / "guard.simdnn"))


@pytest.fixture
def images(digits: Path) -> list[Path]:
    return sorted((digits / "test").rglob("*.png"))[::12]


def saved(guard: Guard, path: Path) -> Guard:
    guard.save(path)
    return load(path)


def facts(guard: Guard, *but: str) -> dict[str, tuple[object, ...]]:
    return {
        p.id: (p.label, p.support, p.sigma, guard.exemplar(p.exemplar), p.vector.tobytes())
        for p in guard.model.prototypes
        if p.id not in but
    }


def judged(guard: Guard, images: list[Path]) -> list[Verdict]:
    return list(guard.check(images))


def test_saving_and_loading_changes_nothing(guard: Guard, images: list[Path], tmp_path: Path) -> None:
    again = saved(guard, tmp_path / "g.simdnn")
    assert judged(again, images) == judged(guard, images)
    assert judged_by_published(again, images) == judged_by_published(guard, images)
    assert facts(again) == facts(guard)
    assert (again.training, again.networks) == (guard.training, guard.networks)
    assert (tmp_path / "g.simdnn").read_bytes() == saved_bytes(again, tmp_path)


def judged_by_published(guard: Guard, images: list[Path]) -> list[Verdict]:
    return list(guard.check(images, rule="published"))


def saved_bytes(guard: Guard, tmp_path: Path) -> bytes:
    guard.save(tmp_path / "again.simdnn")
    return (tmp_path / "again.simdnn").read_bytes()


def test_the_id_is_that_of_the_file_and_tells_of_every_edit(
    guard: Guard, images: list[Path], tmp_path: Path
) -> None:
    ids = [guard.model_id]
    assert guard.model_id == ids[0]
    assert saved(guard, tmp_path / "g.simdnn").model_id == ids[0]
    assert sha256((tmp_path / "g.simdnn").read_bytes()).hexdigest().startswith(ids[0])
    added = guard.add_prototype("3", images[0])
    ids.append(guard.model_id)
    moved = guard.model.prototypes.relabel(added, "4")
    ids.append(guard.model_id)
    guard.model.prototypes.remove(moved)
    ids.append(guard.model_id)  # not the first again: a number is never given twice
    assert len(set(ids)) == 4


def test_removing_one_changes_no_other(guard: Guard, images: list[Path], tmp_path: Path) -> None:
    before = judged(guard, images)
    gone = before[0].prototype
    assert gone is not None
    kept = facts(guard, gone)
    guard.model.prototypes.remove(gone)
    assert facts(guard) == kept
    after = judged(guard, images)
    assert after[0].prototype != gone
    assert after[0].score is not None
    assert before[0].score is not None
    assert after[0].score < before[0].score
    for old, new in zip(before, after, strict=True):
        if gone not in {n.prototype for n in old.evidence}:
            assert (old.score, old.evidence) == (new.score, new.evidence)
    again = saved(guard, tmp_path / "g.simdnn")
    assert judged(again, images) == after
    assert facts(again) == kept


def test_an_image_of_a_new_class(guard: Guard, images: list[Path], tmp_path: Path) -> None:
    kept = facts(guard)
    assert guard.add_prototype("a new one", str(images[7])) == "a new one/0"
    assert guard.classes == (*"0123456789", "a new one")
    assert facts(guard, "a new one/0") == kept
    (verdict,) = guard.check(images[7])
    assert (verdict.label, verdict.prototype, verdict.verdict) == ("a new one", "a new one/0", "clean")
    assert verdict.score == pytest.approx(1.0, abs=1e-6)
    assert verdict.evidence[0].exemplar == images[7].name
    again = saved(guard, tmp_path / "g.simdnn")
    assert list(again.check(images[7])) == [verdict]
    added = again.model.prototypes["a new one/0"]
    assert (added.support, added.sigma) == (1, 0.0)
    assert again.exemplar(added.exemplar).picture.size == (96, 96)


def test_relabelling_changes_the_label_alone(guard: Guard, images: list[Path]) -> None:
    before = judged(guard, images)
    chosen = before[0].prototype
    assert chosen is not None
    moved = guard.model.prototypes.relabel(chosen, "other")
    after = judged(guard, images)
    assert moved == "other/0"
    assert (after[0].label, after[0].prototype) == ("other", moved)
    assert [v.score for v in after] == [v.score for v in before]
    assert [v.verdict for v in after] == [v.verdict for v in before]


def test_a_class_can_lose_all_its_prototypes(guard: Guard, images: list[Path], tmp_path: Path) -> None:
    for prototype in [p.id for p in guard.model.prototypes if p.label == "8"]:
        guard.model.prototypes.remove(prototype)
    after = judged(guard, images)
    assert "8" not in {v.label for v in after}
    assert judged(saved(guard, tmp_path / "g.simdnn"), images) == after
    assert guard.add_prototype("8", images[0]).startswith("8/")


def test_thumbnails_of_removed_prototypes_leave_the_file(guard: Guard, tmp_path: Path) -> None:
    first = next(iter(guard.model.prototypes))
    name = guard.exemplar(first.exemplar).name.encode()
    assert name in saved_bytes(guard, tmp_path)
    guard.model.prototypes.remove(first.id)
    assert name not in saved_bytes(guard, tmp_path)


def test_what_cannot_be_done(guard: Guard, tmp_path: Path) -> None:
    before = facts(guard)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    with pytest.raises(ImageReadError, match=rf"^{broken}: expected an image"):
        guard.add_prototype("3", broken)
    with pytest.raises(ImageReadError, match=r"nowhere.png: the file does not exist"):
        guard.add_prototype("new", tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="no prototype '3/999'; the class '3' has 3/0, "):
        guard.model.prototypes.remove("3/999")
    assert facts(guard) == before
    assert "new" not in guard.classes
    exemplars = [p.exemplar for p in guard.model.prototypes]
    assert_array_equal(np.sort(exemplars), np.unique(exemplars))


def test_a_class_without_prototypes_needs_no_threshold(guard: Guard, images: list[Path]) -> None:
    ids = [p.id for p in guard.model.prototypes if p.label == "3"]
    for prototype in ids:
        guard.model.prototypes.remove(prototype)
    verdicts = list(guard.check(images[:10], per_class=True, alpha=0.5))
    assert {verdict.label for verdict in verdicts} <= set("012456789")


@pytest.mark.parametrize("edit", ["add", "relabel"])
def test_a_class_needs_a_name(guard: Guard, images: list[Path], edit: str) -> None:
    first = next(iter(guard.model.prototypes)).id
    with pytest.raises(InputError, match="expected the name of a class for the prototype, got an empty one"):
        _ = guard.add_prototype("", images[0]) if edit == "add" else guard.model.prototypes.relabel(first, "")
    assert "" not in guard.model.prototypes.classes
