"""The rule ``"profile"`` in a guard: fitted, saved, explained, and better than similarity on attacked digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from simdnn.attacks import DDN, predict, run_attack
from simdnn.digits import IN_UNITS, read_digits, train_network, write_digits
from simdnn.errors import InputError
from simdnn.evaluation.intervals import auroc
from simdnn.guard.guard import Guard
from simdnn.guard.plots import draw_explanation
from simdnn.images.corruptions import CORRUPTIONS
from simdnn.networks.backbone import load_backbone
from simdnn.networks.cache import FeatureCache
from simdnn.networks.digits import SIDE
from simdnn.networks.extractor import Extractor
from simdnn.rules.profile import ProfileRule
from simdnn.rules.sources import SOURCES, Measured
from simdnn.rules.view_statistics import compare_views

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder, seed=0)
    train_network(folder / "network", folder / "digits.safetensors", seed=0)
    return folder


@pytest.fixture(scope="module")
def extractor(digits: Path) -> Extractor:
    backbone = load_backbone(
        "simdnn.networks.digits:digits_network",
        digits / "digits.safetensors",
        size=SIDE,
        mean=IN_UNITS.mean,
        std=IN_UNITS.std,
    )
    return Extractor([backbone])


@pytest.fixture(scope="module")
def guard(digits: Path, extractor: Extractor) -> Guard:
    return Guard.fit(digits / "train", extractor, view_seed=3)


@pytest.fixture(scope="module")
def held_out(digits: Path) -> tuple[Tensor, Tensor]:
    _, images, labels = read_digits(digits / "test")
    return images[::3], labels[::3]


def test_levels_with_the_same_seed_share_no_rows_of_the_cache(
    digits: Path, extractor: Extractor, tmp_path: Path
) -> None:
    with FeatureCache(tmp_path / "features.sqlite") as cache:
        cached = Extractor(extractor.backbones, cache=cache)
        light = Guard.fit(digits / "train", cached, view_seed=3, level="light")
        standard = Guard.fit(digits / "train", cached, view_seed=3, level="standard")
    assert [len(guard.rule.views) for guard in (light, standard)] == [1, 2]
    uncached = Guard.fit(digits / "train", extractor, view_seed=3, level="standard")
    assert standard.threshold() == pytest.approx(uncached.threshold(), rel=1e-4)


def scores(guard: Guard, images: Tensor, rule: str) -> list[float]:
    return [verdict.score or 0.0 for verdict in guard.check_tensors(images, rule=rule)]


def test_scores_are_those_of_the_profile(guard: Guard, held_out: tuple[Tensor, Tensor]) -> None:
    images = held_out[0][:20]
    rule, backbone = guard.rule, guard.extractor.backbones[0]
    assert isinstance(rule, ProfileRule)
    with torch.no_grad():
        seen = [backbone(batch) for batch in (images, *(view(images) for view in rule.views))]
    features = np.stack([output.features["penultimate"].numpy() for output in seen], axis=1)
    logits = np.stack([output.logits.numpy() for output in seen], axis=1)
    similarity = guard.model.similarities(features[:, 0]).max(axis=1)
    views = compare_views(
        features[:, 0], features[:, 1:], logits[:, 0], logits[:, 1:], logits[:, 0].argmax(axis=1)
    )
    expected = rule.clean.score(Measured(views, similarity))
    np.testing.assert_allclose(scores(guard, images, "profile"), expected, rtol=1e-3, atol=1e-3)


def test_small_attacks_are_told_from_clean_digits(guard: Guard, held_out: tuple[Tensor, Tensor]) -> None:
    images, labels = held_out
    right = predict(guard.classifier, images) == labels
    attacked = run_attack(DDN(steps=40), guard.classifier, images[right][:60], labels[right][:60]).images_8bit
    area = {
        rule: auroc(scores(guard, images, rule), scores(guard, attacked, rule), resamples=2).value
        for rule in ("profile", "similarity")
    }
    assert area["profile"] > 0.95
    assert area["profile"] > area["similarity"] + 0.05


def test_a_saved_guard_judges_alike(guard: Guard, held_out: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    guard.save(tmp_path / "guard.simdnn")
    again = Guard.load(tmp_path / "guard.simdnn")
    assert again.settings.rule == "profile"
    assert again.model_id == guard.model_id
    assert again.check_tensors(held_out[0][:20]) == guard.check_tensors(held_out[0][:20])


def test_calibration_holds_clean_and_harmlessly_changed_digits(guard: Guard) -> None:
    n = guard.training.calibrated
    assert guard.calibration.clean.sum() == n
    assert (~guard.calibration.clean).sum() == (n + 1) // 2
    assert set(guard.calibration.corruption) == {"", *CORRUPTIONS}
    assert len(guard.rule.calibration_scores()) == n + (n + 1) // 2


def test_a_copy_carries_the_hash_of_its_original(guard: Guard) -> None:
    hashes = np.array(guard.calibration.image_sha256)
    clean = guard.calibration.clean
    assert set(hashes[~clean]) <= set(hashes[clean])
    assert len(set(hashes[clean])) == clean.sum()


def test_views_differ_from_guard_to_guard(digits: Path, extractor: Extractor, guard: Guard) -> None:
    views = {guard.rule.views}
    for view_seed in range(3):
        views.add(Guard.fit(digits / "train", extractor, view_seed=view_seed, calibration=0.1).rule.views)
    assert len(views) > 1


def test_explanation_shows_the_profile(guard: Guard, held_out: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    explanation = guard.explain(held_out[0][0])
    assert list(explanation.deviations) == [source.name for source in SOURCES]
    draw_explanation(explanation, tmp_path / "why.png")
    assert (tmp_path / "why.png").stat().st_size > 10_000
    assert guard.explain(held_out[0][0], rule="similarity").deviations == {}


def test_a_guard_without_a_profile_says_so(digits: Path, extractor: Extractor) -> None:
    plain = Guard.fit(digits / "train", extractor, rule="similarity")
    with pytest.raises(InputError, match="this guard has no profile; fit it with the rule 'profile'"):
        list(plain.check(digits / "test", rule="profile"))


def test_unknown_level(digits: Path, extractor: Extractor) -> None:
    with pytest.raises(InputError, match="no level 'best'; the levels are light, standard, full"):
        Guard.fit(digits / "train", extractor, level="best")
