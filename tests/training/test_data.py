from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.small import write_stripes

from simdnn.errors import InputError
from simdnn.training.augment import random_crops
from simdnn.training.data import decode_images
from simdnn.training.parts import Parts, check_held_out


def test_images_are_decoded_with_their_labels_and_hashes(stripes: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    images = decode_images(stripes, 32, tmp_path / "store.npy", progress=lambda *n: told.append(n))
    assert images.classes == ("lying", "standing")
    assert images.labels.tolist() == [0] * 10 + [1] * 10
    paths = sorted(stripes.rglob("*.png"))
    assert images.hashes.tolist() == [sha256(path.read_bytes()).hexdigest() for path in paths]
    batch = images.batch(np.array([3, 12]))
    for pixels, path in zip(batch, [paths[3], paths[12]], strict=True):
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.array(Image.open(path)))
    assert told == [(20, 20)]


def test_images_are_decoded_once(stripes: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.npy"
    first = decode_images(stripes, 32, store)
    told: list[tuple[int, int]] = []
    again = decode_images(stripes, 32, store, progress=lambda *n: told.append(n))
    assert told == []
    assert np.array_equal(first.pixels, again.pixels)
    assert decode_images(stripes, 16, store).pixels.shape == (20, 3, 16, 16)


def test_a_file_that_changed_is_decoded_again(tmp_path: Path) -> None:
    folder = write_stripes(tmp_path / "train", per_class=2)
    store = tmp_path / "store.npy"
    decode_images(folder, 32, store)
    Image.new("RGB", (32, 32), (9, 8, 7)).save(folder / "lying" / "000.png")
    assert decode_images(folder, 32, store).batch(np.array([0]))[0, :, 0, 0].tolist() == [9, 8, 7]


def test_a_few_unreadable_files_are_skipped_and_named(tmp_path: Path) -> None:
    folder = write_stripes(tmp_path / "train", per_class=12)
    (folder / "lying" / "005.png").write_bytes(b"no image")
    images = decode_images(folder, 32, tmp_path / "store.npy")
    assert len(images.labels) == len(images.hashes) == 23
    assert len(images.unreadable) == 1
    assert "005.png: expected an image" in images.unreadable[0]
    pixels = images.batch(np.array([5]))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(pixels, np.array(Image.open(folder / "lying" / "006.png")))


def test_many_unreadable_files_are_refused(tmp_path: Path) -> None:
    folder = write_stripes(tmp_path / "train", per_class=5)
    (folder / "lying" / "000.png").write_bytes(b"no image")
    with pytest.raises(
        InputError, match=r"1 of 10 files cannot be read, more than the 5% allowed; remove them"
    ):
        decode_images(folder, 32, tmp_path / "store.npy")


def test_a_full_disk_is_refused(stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("simdnn.training.data.shutil.disk_usage", lambda path: free)
    with pytest.raises(
        InputError, match=r"expected 0.1 GB of free disk for the decoded images .*, got 0.0 GB"
    ):
        decode_images(stripes, 1024, tmp_path / "store.npy")


def test_the_digest_changes_with_a_label(stripes: Path, tmp_path: Path) -> None:
    lines = [f"{path},{path.parent.name}" for path in sorted(stripes.rglob("*.png"))]
    digests = []
    for labelled in (lines, [*lines[:-1], lines[-1].replace(",standing", ",lying")]):
        (tmp_path / "list.csv").write_text("\n".join(["path,label", *labelled]), encoding="utf-8")
        images = decode_images(tmp_path / "list.csv", 16, tmp_path / "store.npy")
        rows = np.arange(20)
        digests.append(Parts(images, rows, rows[:0], 16, torch.device("cpu")).digest)
    assert digests[0] != digests[1]


def test_one_class_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path,label\na.png,cat\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"expected images of at least two classes in .*, got only 'cat'"):
        decode_images(tmp_path / "list.csv", 8, tmp_path / "store.npy")


def test_the_parts_are_those_of_fit(stripes: Path, tmp_path: Path) -> None:
    """With the same share and seed, a guard calibrates on the images that were not learned."""
    from simdnn.paper.holdout import calibration_mask

    images = decode_images(stripes, 32, tmp_path / "store.npy")
    parts = Parts.of(images, 0.2, 3, 32, torch.device("cpu"))
    held = calibration_mask(np.array(["lying"] * 10 + ["standing"] * 10), 0.2, 3)
    assert parts.held.tolist() == np.flatnonzero(held).tolist()
    assert sorted([*parts.held, *parts.learned]) == list(range(20))
    assert parts.hashes == images.hashes[~held].tolist()


def test_a_class_with_too_few_images_to_hold_any_out_is_refused(tmp_path: Path) -> None:
    folder = write_stripes(tmp_path / "train", per_class=2)
    with pytest.raises(InputError, match="to hold 5% out, got 2 of lying; add images or hold out more"):
        check_held_out(folder, 0.05, 0)


def test_random_crops_are_mirrored_parts_of_the_image() -> None:
    """On an image whose value is its column, a part is a ramp, and its ends say which columns it spans."""
    columns = torch.arange(256, dtype=torch.uint8).expand(400, 3, 256, 256)
    torch.manual_seed(0)
    found = random_crops(columns, 64) * 255
    assert found.shape == (400, 3, 64, 64)
    first, last = found[:, 0, 32, 0], found[:, 0, 32, -1]
    mirrored = last < first
    assert 140 < int(mirrored.sum()) < 260  # 200 expected, standard deviation 10
    widths = (last - first).abs() * 64 / 63
    assert widths.min() > 0.59 * 256
    assert widths.max() < 1.01 * 256
    assert torch.allclose(found[:, :, 10], found[:, :, 50], atol=0.1)
