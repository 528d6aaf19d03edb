"""What a guard is fitted on, and what it refuses to be fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import pytest
import torch
from tests.guard.alike import assert_learned_alike
from tests.guard.networks import digits_backbone, handed_over

from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.networks.cache import FeatureCache
from simdnn.networks.digits import DigitsNet
from simdnn.networks.extractor import Extractor
from simdnn.progress import Progress

Fit = Callable[..., Guard]


@pytest.fixture(scope="module")
def extractor(digits: Path) -> Extractor:
    return Extractor([digits_backbone(digits)])


@pytest.fixture
def few(digits: Path, tmp_path: Path) -> Path:
    """Twenty digits of three classes each."""
    for digit in "012":
        (tmp_path / "few" / digit).mkdir(parents=True)
        for path in sorted((digits / "train" / digit).iterdir())[:20]:
            copyfile(path, tmp_path / "few" / digit / path.name)
    return tmp_path / "few"


def test_what_it_was_fitted_on_is_kept(few: Path, extractor: Extractor) -> None:
    seen: list[tuple[int, int]] = []
    guard = Guard.fit(
        few, extractor, alpha=0.1, rule="similarity", progress=lambda done, total: seen.append((done, total))
    )
    facts = asdict(guard.training)
    assert facts.pop("created").endswith("+00:00")
    assert facts == {
        "data": str(few),
        "learned": 48,
        "calibrated": 12,
        "known": 0,
        "unreadable": (),
        "seed": 0,
        "calibrated_on": "held out of the images learned",
        "left_out": 0,
        "recalibrated": None,
    }
    assert guard.classes == ("0", "1", "2")
    assert sum(p.support for p in guard.model.prototypes) == 48
    assert seen == [(32, 60), (60, 60)]


def test_each_prototype_shows_a_training_image_of_its_class(few: Path, extractor: Extractor) -> None:
    guard = Guard.fit(few, extractor, alpha=0.1, rule="similarity")
    for prototype in guard.model.prototypes:
        assert (few / prototype.label / guard.exemplar(prototype.exemplar).name).is_file()


def test_a_csv_gives_the_guard_that_its_folder_gives(few: Path, extractor: Extractor, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    lines = [f"few/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(few.rglob("*.png"))]
    table.write_text("\n".join(["path,label", *lines]))
    by_list, by_folder = (Guard.fit(data, extractor, alpha=0.1, rule="similarity") for data in (table, few))
    assert_learned_alike(by_list, by_folder)


def test_the_seed_draws_the_calibration_images(few: Path, extractor: Extractor) -> None:
    same, again, other = (
        Guard.fit(few, extractor, alpha=0.1, rule="similarity", seed=seed) for seed in (0, 0, 1)
    )
    assert_learned_alike(same, again)
    assert other.threshold() != pytest.approx(same.threshold())


def test_unreadable_files_are_skipped_and_named(few: Path, extractor: Extractor) -> None:
    (few / "0" / "00.png").write_bytes(b"")
    (few / "2" / "zz.jpg").write_text("no image")
    guard = Guard.fit(few, extractor, alpha=0.1, rule="similarity")
    assert guard.training.unreadable == (str(few / "0" / "00.png"), str(few / "2" / "zz.jpg"))
    assert (guard.training.learned, guard.training.calibrated) == (48, 12)
    with pytest.raises(
        InputError,
        match=r"^2 of 62 files cannot be read, more than the 1% allowed; remove them or allow more\. "
        r"The first: .*/0/00\.png: the file is empty; .*/2/zz\.jpg: expected an image",
    ):
        Guard.fit(few, extractor, alpha=0.1, rule="similarity", max_unreadable=0.01)


def test_a_class_never_vanishes(few: Path, extractor: Extractor) -> None:
    (few / "seven").mkdir()
    (few / "seven" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="no file can be read of the class seven; replace its files"):
        Guard.fit(few, extractor, alpha=0.1, rule="similarity")


def test_too_few_images_for_the_rate(few: Path, extractor: Extractor) -> None:
    with pytest.raises(
        InputError, match=r"^expected 19 images that calibrate a false-alarm rate of 0\.05, got 12, "
    ):
        Guard.fit(few, extractor, rule="similarity")
    with pytest.raises(InputError, match="0 calibration samples are too few for the published rule"):
        Guard.fit(few, extractor, calibration=0.0, rule="published")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rule": "nonsense"}, "no rule 'nonsense'; the rules are"),
        ({"alpha": 0.0}, "alpha is a false-alarm rate, expected between 0 and 1; got 0.0"),
        ({"alpha": 2.0}, "alpha is a false-alarm rate, expected between 0 and 1; got 2.0"),
        ({"calibration": 0.9}, r"the share to hold out for calibration is 0 or in \(0, 0.5\]; got 0.9"),
        ({"seed": -1}, "random_state is a seed, expected a whole number from 0; got -1"),
        ({"m": -1.0}, "m is a number of deviations, expected 0 or more; got -1.0"),
        ({"sigma": "own"}, "sigma is 'shared', 'class' or 'prototype'; got 'own'"),
    ],
)
def test_options_are_refused_before_the_work(
    few: Path, extractor: Extractor, options: dict[str, Any], said: str
) -> None:
    def worked(done: int, total: int) -> None:
        raise AssertionError("it began to work")

    progress: Progress = worked
    with pytest.raises(InputError, match=said):
        Guard.fit(few, extractor, progress=progress, **options)


def test_a_network_that_fails_is_refused(few: Path) -> None:
    network = DigitsNet()
    network.get_parameter("features.10.bias").data[0] = torch.inf
    with pytest.raises(InputError, match=r"gives missing or infinite features for 60 images, such as .*/0/"):
        Guard.fit(few, Extractor([handed_over(network)]), alpha=0.1, rule="similarity")


def test_a_folder_without_classes(tmp_path: Path, extractor: Extractor) -> None:
    with pytest.raises(InputError, match=r"expected one subfolder per class in .*, got none"):
        Guard.fit(tmp_path, extractor)


@pytest.mark.parametrize("rule", ["similarity", "published"])
def test_the_rule_of_fitting_decides(few: Path, extractor: Extractor, rule: str) -> None:
    guard = Guard.fit(few, extractor, alpha=0.1, rule=rule)
    (verdict,) = guard.check(sorted((few / "0").iterdir())[0])
    assert verdict.rule == guard.settings.rule == rule
    assert (verdict.p_value is None) == (rule == "published")
    assert verdict.threshold == pytest.approx(guard.threshold(), abs=0.05)


def test_layers_and_networks_together(few: Path, digits: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    backbones = [digits_backbone(digits, ("features.5", "penultimate")), handed_over(second := DigitsNet())]
    guard = Guard.fit(few, Extractor(backbones), alpha=0.1, rule="similarity")
    assert guard.model.prototypes.n_features == 32 + 96 + 96
    guard.save(tmp_path / "g.simdnn")
    again = Guard.load(tmp_path / "g.simdnn", networks=[None, second])
    images = sorted((digits / "test" / "1").iterdir())[:5]
    assert list(again.check(images)) == list(guard.check(images))
    alone = Guard.fit(few, Extractor(backbones[:1]), alpha=0.1, rule="similarity")
    labels = [v.classifier_label for v in guard.check(images)]
    assert labels == [v.classifier_label for v in alone.check(images)]  # the first network is the classifier
    assert [v.score for v in guard.check(images)] != [v.score for v in alone.check(images)]


def test_the_folder_is_left_as_it_is(few: Path, extractor: Extractor, tmp_path: Path) -> None:
    copytree(few, tmp_path / "copy")
    Guard.fit(few, extractor, alpha=0.1, rule="similarity")
    before, after = (
        {path.name: path.read_bytes() for path in folder.rglob("*.png")}
        for folder in (tmp_path / "copy", few)
    )
    assert before == after


def test_a_cache_serves_each_level_its_own_views(few: Path, digits: Path, tmp_path: Path) -> None:
    cached = Extractor([digits_backbone(digits)], cache=FeatureCache(tmp_path / "features.sqlite"))
    for level in ("light", "standard"):
        guard = Guard.fit(few, cached, level=level, alpha=0.1, view_seed=0)
        alone = Guard.fit(few, Extractor([digits_backbone(digits)]), level=level, alpha=0.1, view_seed=0)
        assert guard.threshold() == pytest.approx(alone.threshold(), rel=1e-4)
