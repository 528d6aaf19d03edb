"""What a guard would be fitted on is known, and refused if it will not do, before an image is read."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from tests.guard.networks import digits_backbone

from simdnn.errors import InputError
from simdnn.guard.agreement import doubt, output_names
from simdnn.guard.guard import Guard
from simdnn.guard.listing import training_images
from simdnn.guard.settings import Settings
from simdnn.images.names import ClassNames
from simdnn.networks.extractor import Extractor

MESSAGE = r"expected 19 images that calibrate a false-alarm rate of 0.05, got {}, a share of 0.2 of {}; give at least "


def photographs(folder: Path, *, classes: int, each: int) -> Path:
    for label in range(classes):
        (folder / f"c{label}").mkdir(parents=True)
        for i in range(each):
            (folder / f"c{label}" / f"{i}.png").touch()
    return folder


def test_the_number_that_is_asked_for_is_enough(tmp_path: Path) -> None:
    few = photographs(tmp_path / "few", classes=3, each=30)
    message = (
        MESSAGE.format(18, 90) + r"35 photographs of each class, 105 in all, or ask for an alpha of 0\.0526 "
    )
    with pytest.raises(InputError, match=message):
        training_images(few, Settings(alpha=0.05), 0.2)
    assert training_images(few, Settings("published"), 0.2).calibrate.sum() == 18
    enough = photographs(tmp_path / "enough", classes=3, each=35)
    assert training_images(enough, Settings(alpha=0.05), 0.2).calibrate.sum() == 21


def test_no_share_and_no_image_at_all(tmp_path: Path) -> None:
    data = photographs(tmp_path / "data", classes=2, each=1)
    with pytest.raises(InputError, match=r"got a share of 0; 0\.2 is usual$"):
        training_images(data, Settings(), 0.0)
    with pytest.raises(InputError, match=MESSAGE.format(0, 2) + r"50 photographs of each class, 100 in all$"):
        training_images(data, Settings(), 0.2)


def test_nothing_is_read_where_too_few_would_calibrate(digits: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(InputError, match="expected 19 images that calibrate"):
        Guard.fit(
            photographs(tmp_path / "data", classes=3, each=5),
            Extractor([digits_backbone(digits)]),
            progress=lambda done, _: seen.append(done),
        )
    assert seen == []


def test_names_of_outputs() -> None:
    labels = np.array(["10", "9"])
    given = ClassNames({0: "nine"}, {"9": "nine"})
    assert output_names(None, ("a", "b", "c"), labels, 3) == ("a", "b", "c")
    assert output_names(given, ("a", "b", "c"), labels, 3) == ("nine", "b", "c")
    assert output_names(None, None, labels, 3) is None
    with pytest.raises(
        InputError, match="expected names of the outputs 0 to 1 of the network, got none of 1"
    ):
        output_names(given, None, labels, 2)


def test_doubts() -> None:
    labels = np.array(["cat", "cat", "dog", "dog"])
    assert doubt(("cat", "dog"), labels, [0, 0, 1, 0], 2) is None
    assert str(doubt(("cat", "dog"), labels, [1, 1, 0, 0], 2)).startswith(
        "the network predicts the class of the folder"
    )
    assert "different names: 'Felis' is mostly 'cat'" in str(
        doubt(("Felis", "Canis"), labels, [0, 0, 1, 1], 2)
    )
    assert doubt(None, np.array(["0", "1"]), [0, 1], 9) is None


def test_a_fit_that_mixes_up_the_classes_warns(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each digit's folder has the name of the next."""
    for digit in range(10):
        (tmp_path / str((digit + 1) % 10)).symlink_to(digits / "train" / str(digit))
    with caplog.at_level(logging.WARNING, "simdnn"):
        guard = Guard.fit(tmp_path, Extractor([digits_backbone(digits)]), rule="similarity")
    assert [r.getMessage().partition(" for ")[0] for r in caplog.records] == [
        "the network predicts the class of the folder"
    ]
    assert guard.networks[0].categories == tuple("0123456789")
    names = ClassNames({k: f"n{k}" for k in range(10)}, {str((k + 1) % 10): f"n{k}" for k in range(10)})
    caplog.clear()
    guard = Guard.fit(tmp_path, Extractor([digits_backbone(digits)]), rule="similarity", names=names)
    assert caplog.records == []
    verdicts = list(guard.check(digits / "test" / "4"))
    assert sum(v.label == v.classifier_label == "n4" for v in verdicts) > 0.8 * len(verdicts)
