"""Other images that calibrate a guard with a second opinion: they need votes, and must be new to its network."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from tests.noisy_digits import noisy_auxiliary
from tests.trained_digits import TrainedDigits

from simdnn.arrays import FloatArray
from simdnn.guard.guard import Guard
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.extractor import Extractor
from simdnn.rules.opinion_scale import OpinionScale

LEARNED = 7


@pytest.fixture(scope="module")
def files(trained_digits: TrainedDigits) -> list[Path]:
    return sorted((trained_digits.folder / "test").glob("*/*"))


@pytest.fixture(scope="module")
def extractor(trained_digits: TrainedDigits, files: list[Path]) -> Extractor:
    """With an auxiliary network that says it has learned seven of the test images."""
    torch.set_num_threads(1)
    network = noisy_auxiliary(trained_digits.folder)
    learned = tuple(sorted(sha256(path.read_bytes()).hexdigest() for path in files[:LEARNED]))
    told = AuxiliaryNetwork(network.network, replace(network.spec, learned=learned))
    return Extractor([trained_digits.backbone()], auxiliary=told, device="cpu")


@pytest.fixture(scope="module")
def guard(trained_digits: TrainedDigits, extractor: Extractor) -> Guard:
    return Guard.fit(trained_digits.folder / "train", extractor, view_seed=3, alpha=0.1, draws=8)


def assert_without_learned(guard: Guard, extractor: Extractor) -> None:
    assert extractor.auxiliary is not None
    assert not set(guard.calibration.image_sha256) & set(extractor.auxiliary.spec.learned)
    assert guard.training.known == LEARNED
    assert_array_equal(guard.calibration.votes.sum(axis=1), 8)


def test_images_from_elsewhere_calibrate_by_their_votes(
    guard: Guard, extractor: Extractor, trained_digits: TrainedDigits, files: list[Path], tmp_path: Path
) -> None:
    after = guard.recalibrate(trained_digits.folder / "test")
    assert after.training.calibrated == len(files) - LEARNED
    assert_without_learned(after, extractor)
    verdicts = {verdict.image_sha256: verdict for verdict in guard.check(files)}
    for i in np.flatnonzero(after.calibration.clean):
        verdict = verdicts[after.calibration.image_sha256[i]]
        assert after.rule.calibration_scores()[i] == pytest.approx(verdict.score, rel=1e-5)
    after.save(tmp_path / "g.simdnn")
    assert Guard.load(tmp_path / "g.simdnn").model_id == after.model_id


def test_images_are_added_to_those_that_calibrate(
    guard: Guard, extractor: Extractor, trained_digits: TrainedDigits, files: list[Path]
) -> None:
    both = guard.recalibrate(trained_digits.folder / "test", add=True)
    assert both.training.calibrated == guard.training.calibrated + len(files) - LEARNED
    assert_without_learned(both, extractor)


def test_a_fit_leaves_out_what_the_auxiliary_network_learned(
    extractor: Extractor, trained_digits: TrainedDigits, files: list[Path]
) -> None:
    folder = trained_digits.folder
    made = Guard.fit(
        folder / "train", extractor, calibrate_on=folder / "test", rule="second-opinion", alpha=0.1, draws=8
    )
    assert (made.training.calibrated, made.training.left_out) == (len(files) - LEARNED, 0)
    assert_without_learned(made, extractor)


def test_bytes_come_with_radii_and_with_early_verdicts(guard: Guard, files: list[Path]) -> None:
    for certify, early in ((50, False), (None, True), (50, True)):
        judged = list(guard.check_with_bytes(files[:12], certify=certify, early=early))
        assert [data for _, data in judged] == [path.read_bytes() for path in files[:12]]
        alone = list(guard.check(files[:12], certify=certify, early=early))
        assert [verdict for verdict, _ in judged] == alone


def test_what_the_auxiliary_network_says_of_images_that_it_learned_teaches_the_rule_nothing(
    trained_digits: TrainedDigits, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert extractor.auxiliary is not None
    folders = sorted((trained_digits.folder / "train").iterdir())
    train = [sorted(folder.iterdir()) for folder in folders]
    known = [path for paths in train for path in paths[: len(paths) * 3 // 4]]
    told = replace(
        extractor.auxiliary.spec,
        learned=tuple(sorted({sha256(path.read_bytes()).hexdigest() for path in known})),
    )
    both = Extractor(
        extractor.backbones, auxiliary=AuxiliaryNetwork(extractor.auxiliary.network, told), device="cpu"
    )
    seen: list[int] = []
    learn = OpinionScale.learn

    def counting(shares: FloatArray, profile: FloatArray) -> OpinionScale:
        seen.append(len(shares))
        return learn(shares, profile)

    monkeypatch.setattr(OpinionScale, "learn", counting)
    fitted = Guard.fit(trained_digits.folder / "train", both, view_seed=3, alpha=0.1, draws=8)
    left = sum(map(len, train)) - len(known) - fitted.training.calibrated
    exemplars = len(fitted.exemplars)
    assert left - exemplars <= seen[0] <= left
    assert seen[0] >= (left + fitted.training.calibrated) // 6
