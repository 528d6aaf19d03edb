"""Datasets from folders, archives and torchvision; torchvision's own are stood in for, since they cannot be fetched."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torchvision.datasets
from PIL import Image

from simdnn.errors import InputError
from simdnn.evaluation.datasets import load_dataset
from simdnn.evaluation.plan import DatasetPlan


def write(folder: Path, classes: dict[str, int]) -> None:
    for number, (label, count) in enumerate(classes.items()):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (number * 40, i, 0)).save(folder / label / f"{i:03}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "data" / "train", {"a": 30, "b": 20, "c": 10})
    write(tmp_path / "data" / "test", {"a": 6, "b": 6, "c": 6})
    return tmp_path / "data"


def load(plan: DatasetPlan, base: Path, **more: int) -> Any:
    return load_dataset("some", plan, base, base / "cache", more.get("seed", 0))


def test_a_share_has_as_many_of_each_class(folder: Path) -> None:
    plan = DatasetPlan(fit="train", test="test", fit_images=12, test_images=6)
    found = load(plan, folder)
    assert [found.fit.labels.count(label) for label in "abc"] == [4, 4, 4]
    assert [found.test.labels.count(label) for label in "abc"] == [2, 2, 2]
    assert found.outputs == {"a": 0, "b": 1, "c": 2}
    assert load(plan, folder).test.paths == found.test.paths
    assert load(plan, folder, seed=1).test.paths != found.test.paths


def test_the_hash_knows_labels_and_contents(folder: Path) -> None:
    plan = DatasetPlan(fit="train", test="test")
    before = load(plan, folder).test.hash
    assert load(plan, folder).test.hash == before
    Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "test" / "a" / "000.png")
    assert load(plan, folder).test.hash != before


def test_an_archive_is_unpacked_once(folder: Path) -> None:
    with tarfile.open(folder / "all.tar.xz", "w:xz") as tar:
        tar.add(folder / "train", "train")
        tar.add(folder / "test", "test")
    plan = DatasetPlan(archive="all.tar.xz", fit="train", test="test")
    found = load(plan, folder)
    assert len(found.fit.paths) == 60
    assert found.folder.parent == folder / "cache"
    assert found.folder.name.startswith("all-")
    changed = found.folder / "test" / "a" / "000.png"
    before = changed.stat().st_mtime_ns
    assert load(plan, folder).test.hash == found.test.hash
    assert changed.stat().st_mtime_ns == before


def test_archives_of_one_name_do_not_mix(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "more" / "train", {"x": 2, "y": 2})
    for where in (folder, tmp_path / "more"):
        with tarfile.open(where / "all.tar", "w") as tar:
            tar.add(where / "train", "train")
    plans = [
        DatasetPlan(archive=str(where / "all.tar"), fit="train", test="train")
        for where in (folder, tmp_path / "more")
    ]
    assert [load(plan, folder).classes for plan in plans * 2] == [("a", "b", "c"), ("x", "y")] * 2


def test_what_an_earlier_version_unpacked_is_used_for_one_archive(folder: Path, tmp_path: Path) -> None:
    write(folder / "cache" / "all" / "train", {"old": 2})
    (folder / "cache" / "all" / ".unpacked").touch()
    write(tmp_path / "more" / "train", {"x": 2})
    for where in (folder, tmp_path / "more"):
        with tarfile.open(where / "all.tar", "w") as tar:
            tar.add(where / "train", "train")
    plan = DatasetPlan(archive="all.tar", fit="train", test="train")
    assert load(plan, folder).folder == folder / "cache" / "all"
    other = load_dataset("some", plan, tmp_path / "more", folder / "cache", 0)
    assert other.classes == ("x",)
    assert load(plan, folder).classes == ("old",)


@pytest.mark.parametrize("images", [1, 4, 7, 11])
def test_a_share_is_never_larger_than_was_asked_for(folder: Path, images: int) -> None:
    found = load(DatasetPlan(fit="train", test="test", test_images=images), folder).test
    counts = [found.labels.count(label) for label in "abc"]
    assert sum(counts) == images
    assert max(counts) - min(counts) <= 1


def test_a_dataset_in_memory_is_written_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake(list[Any]):
        classes = ("cat", "dog")

        def __init__(self, root: Path, *, train: bool, download: bool) -> None:
            assert download
            super().__init__([(Image.new("RGB", (4, 4), (i, 0, 0)), i % 2) for i in range(8 if train else 4)])

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    found = load(DatasetPlan(torchvision="CIFAR10", root="cifar"), tmp_path)
    assert found.fit.labels == ["cat"] * 4 + ["dog"] * 4
    assert found.classes == ("cat", "dog")
    assert Image.open(found.test.paths[-1]).getpixel((0, 0)) == (3, 0, 0)


@pytest.mark.parametrize(("name", "attribute"), [("Imagenette", "_samples"), ("ImageNet", "samples")])
def test_a_dataset_of_files_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, attribute: str
) -> None:
    write(tmp_path / "files", {"n1": 3, "n2": 2})
    listed = [(str(p), int(p.parent.name == "n2")) for p in sorted((tmp_path / "files").rglob("*.png"))]

    def fake(root: Path, split: str, *rest: object, **more: object) -> SimpleNamespace:
        return SimpleNamespace(**{attribute: listed}, wnids=["n1", "n2"], classes=[("one",), ("two",)])

    monkeypatch.setattr(torchvision.datasets, name, fake)
    found = load(DatasetPlan(torchvision=name, root="."), tmp_path)
    assert found.fit.labels == ["n1", "n1", "n1", "n2", "n2"]
    assert found.classes == ("n1", "n2")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (DatasetPlan(fit="train"), "dataset some needs the folders 'fit' and 'test'"),
        (DatasetPlan(fit="$NOT_SET/a", test="b"), "some needs the environment variable NOT_SET, which is not set"),
        (DatasetPlan(fit="a", test="${A}/$B"), "needs the environment variable A and B, which is not set"),
        (DatasetPlan(archive="none.tar", fit="a", test="b"), "none.tar, which does not exist"),
        (DatasetPlan(torchvision="MNIST"), "expected torchvision = one of CIFAR10, Imagenette, ImageNet; got 'MNIST'"),
        (DatasetPlan(torchvision="ImageNet", root="."), "torchvision's ImageNet cannot be loaded from"),
        (DatasetPlan(fit="test", test="train", outputs={"a": 0}), "'outputs' lacks the classes b, c"),
        (DatasetPlan(fit="train/a", test="test"), "test"),
    ],
)  # fmt: skip
def test_a_missing_source_is_an_error(folder: Path, plan: DatasetPlan, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(plan, folder)
    assert message in str(caught.value)


def test_test_images_of_a_class_that_was_not_learned_are_refused(folder: Path) -> None:
    write(folder / "more", {"a": 1, "z": 1})
    with pytest.raises(InputError, match="dataset some: z occurs among the test images only"):
        load(DatasetPlan(fit="train", test="more"), folder)
