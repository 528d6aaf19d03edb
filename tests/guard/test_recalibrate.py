"""Thresholds set by other images than those that were learned, at fitting or later."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.guard.alike import assert_learned_alike
from tests.guard.networks import digits_backbone

from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.images.corruptions import CORRUPTIONS
from simdnn.networks.cache import FeatureCache
from simdnn.networks.extractor import Extractor


@pytest.fixture(scope="module")
def extractor(digits: Path) -> Extractor:
    return Extractor([digits_backbone(digits)])


@pytest.fixture(scope="module")
def parts(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``learn``, 20 digits of three classes each, and ``other``, 25 more of each in class folders."""
    folder = tmp_path_factory.mktemp("parts")
    for digit in "012":
        files = sorted((digits / "train" / digit).iterdir())
        for part, chosen in (("learn", files[:20]), ("other", files[20:45])):
            (folder / part / digit).mkdir(parents=True)
            for path in chosen:
                shutil.copyfile(path, folder / part / digit / path.name)
    return folder


@pytest.fixture(scope="module")
def guard(parts: Path, extractor: Extractor) -> Guard:
    return Guard.fit(
        parts / "learn", extractor, calibration=0.5, alpha=0.1, view_seed=3, rule="profile", level="light"
    )


def test_all_is_learned_where_others_calibrate(parts: Path, extractor: Extractor) -> None:
    guard = Guard.fit(parts / "learn", extractor, calibrate_on=parts / "other", alpha=0.05, view_seed=3)
    training = guard.training
    assert (training.learned, training.calibrated, training.left_out) == (60, 75, 0)
    assert training.calibrated_on == f"other images: {parts / 'other'}"
    assert sum(p.support for p in guard.model.prototypes) == 60
    assert int(guard.calibration.clean.sum()) == 75
    corruption = [name for name in guard.calibration.corruption if name]
    assert corruption == [list(CORRUPTIONS)[i % len(CORRUPTIONS)] for i in range(38)]  # every second image
    assert guard.classes == ("0", "1", "2")


def test_the_calibration_is_that_of_the_images(parts: Path, extractor: Extractor) -> None:
    """A naive reference: the threshold from scores of the same files, judged one after the other."""
    guard = Guard.fit(parts / "learn", extractor, calibrate_on=parts / "other", alpha=0.05, rule="similarity")
    scores = sorted(v.score for v in guard.check(parts / "other") if v.score is not None)
    assert_allclose(guard.threshold(), scores[int(0.05 * 76) - 1], rtol=1e-6)


@pytest.mark.parametrize("flat", [True, False])
def test_labels_do_not_matter(parts: Path, extractor: Extractor, tmp_path: Path, flat: bool) -> None:
    source = tmp_path / "list.csv"
    if flat:
        source = tmp_path / "flat"
        source.mkdir()
        for path in (parts / "other").rglob("*.png"):
            shutil.copyfile(path, source / f"{path.parent.name}-{path.name}")
    else:
        source.write_text("path\n" + "\n".join(str(p) for p in sorted((parts / "other").rglob("*.png"))))
    given, folder = (
        Guard.fit(parts / "learn", extractor, calibrate_on=one, alpha=0.05, rule="similarity")
        for one in (source, parts / "other")
    )
    assert_learned_alike(given, folder)


def test_images_that_are_learned_do_not_calibrate(parts: Path, extractor: Extractor, tmp_path: Path) -> None:
    shutil.copytree(parts / "other", tmp_path / "mixed")
    for path in sorted((parts / "learn" / "0").iterdir())[:7]:
        shutil.copyfile(path, tmp_path / "mixed" / f"renamed-{path.name}")
    mixed, clean = (
        Guard.fit(parts / "learn", extractor, calibrate_on=one, alpha=0.05, rule="similarity")
        for one in (tmp_path / "mixed", parts / "other")
    )
    assert (mixed.training.calibrated, mixed.training.left_out) == (75, 7)
    assert_learned_alike(mixed, clean)
    with pytest.raises(InputError, match=r"^0 calibration images cannot promise a false-alarm rate of 0\.05"):
        Guard.fit(parts / "learn", extractor, calibrate_on=parts / "learn", rule="similarity")


def test_it_goes_on_where_it_stopped(parts: Path, digits: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert total == 135
        if done > 60:
            raise StopError

    with FeatureCache(tmp_path / "cache.sqlite") as cache:
        extractor = Extractor([digits_backbone(digits)], cache=cache)
        with pytest.raises(StopError):
            Guard.fit(parts / "learn", extractor, calibrate_on=parts / "other", view_seed=3, progress=stop)
        again = Guard.fit(parts / "learn", extractor, calibrate_on=parts / "other", view_seed=3)
    whole = Guard.fit(
        parts / "learn", Extractor([digits_backbone(digits)]), calibrate_on=parts / "other", view_seed=3
    )
    assert_learned_alike(again, whole)


def test_another_threshold_and_nothing_else(guard: Guard, parts: Path, tmp_path: Path) -> None:
    after = guard.recalibrate(parts / "other", alpha=0.05)
    assert after.settings.alpha == 0.05
    assert guard.settings.alpha == 0.1
    assert after.training.calibrated == 75
    assert after.training.calibrated_on == f"other images: {parts / 'other'}"
    assert after.training.recalibrated is not None
    assert after.training.created == guard.training.created
    assert after.rule.state() == guard.rule.state()
    assert [p.id for p in after.model.prototypes] == [p.id for p in guard.model.prototypes]
    images = sorted((parts / "learn").rglob("*.png"))[:10]
    before, now = ([v.score for v in one.check(images)] for one in (guard, after))
    assert before == now
    fitted = Guard.fit(
        parts / "learn",
        guard.extractor,
        calibrate_on=parts / "other",
        alpha=0.05,
        view_seed=3,
        level="light",
    )
    assert after.calibration.corruption == fitted.calibration.corruption
    assert after.calibration.image_sha256 == fitted.calibration.image_sha256
    assert_allclose(after.calibration.features, fitted.calibration.features, rtol=1e-4, atol=1e-5)

    after.save(tmp_path / "after.simdnn")
    read = Guard.read(tmp_path / "after.simdnn")
    assert read.training == after.training
    assert read.threshold() == after.threshold()


def test_added_images_calibrate_beside_the_earlier_ones(guard: Guard, parts: Path) -> None:
    both = guard.recalibrate(parts / "other", add=True)
    assert both.training.calibrated == guard.training.calibrated + 75
    assert both.training.calibrated_on == (f"held out of the images learned; other images: {parts / 'other'}")
    assert_array_equal(
        both.rule.calibration_scores()[: len(guard.calibration)], guard.rule.calibration_scores()
    )
    again = both.recalibrate(parts / "other", add=True)
    assert (again.training.calibrated, again.training.left_out) == (both.training.calibrated, 75)
    assert again.calibration.image_sha256 == both.calibration.image_sha256


def test_what_cannot_calibrate(guard: Guard, parts: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted((parts / "other" / "0").iterdir())[:5]:
        shutil.copyfile(path, few / path.name)
    with pytest.raises(
        InputError, match=r"^5 calibration images cannot promise a false-alarm rate of 0\.1; "
    ):
        guard.recalibrate(few)
    (few / "broken.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"^1 of 6 files cannot be read, more than the 5% allowed"):
        guard.recalibrate(few)
    with pytest.raises(InputError, match=r"^expected images .* got none in "):
        guard.recalibrate(_empty(tmp_path))
    table = tmp_path / "list.csv"
    table.write_text("path\nfew/00.png\nmissing.png\n")
    with pytest.raises(InputError, match=r"list\.csv, line 2: expected a file, got .*few/00\.png"):
        guard.recalibrate(table)
    assert np.isfinite(guard.threshold())


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_images_that_were_learned_do_not_calibrate_later_either(
    guard: Guard, parts: Path, extractor: Extractor, tmp_path: Path
) -> None:
    shutil.copytree(parts / "other", tmp_path / "mixed")
    learned = sorted((parts / "learn").rglob("*.png"))
    for i, path in enumerate(learned):
        shutil.copyfile(path, tmp_path / "mixed" / f"{i}.png")
    guard.save(tmp_path / "g.simdnn")
    read = Guard.load(tmp_path / "g.simdnn", networks=[extractor.backbones[0].network])
    again = read.recalibrate(tmp_path / "mixed")
    calibrated = guard.training.calibrated  # of the folder that was learned, and so not learned
    assert (again.training.calibrated, again.training.left_out) == (
        75 + calibrated,
        len(learned) - calibrated,
    )
    added = parts / "other" / "0" / "added.png"
    shutil.copyfile(sorted((parts / "other" / "1").iterdir())[0], added)
    try:
        read.add_prototype("0", added)
        assert (
            read.recalibrate(parts / "other").training.left_out == 2
        )  # the file, and the other of the same bytes
    finally:
        added.unlink()
