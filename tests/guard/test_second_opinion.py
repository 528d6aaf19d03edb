"""A guard with a second opinion on digits: replay, its file, its promise, and what it certifies."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.noisy_digits import SIDE, SIGMA, noisy_auxiliary
from tests.trained_digits import TrainedDigits
from torch import Tensor

from simdnn.conformal.split import ConformalThreshold
from simdnn.digits import read_digits
from simdnn.errors import InputError, WeightsError
from simdnn.guard.guard import Guard
from simdnn.guard.plots import draw_explanation
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.cache import FeatureCache
from simdnn.networks.draws import Draws
from simdnn.networks.extractor import Extractor
from simdnn.networks.votes import count_votes
from simdnn.rules.profile_and_opinion import ProfileAndOpinionRule
from simdnn.smoothing.radius import image_radius


@pytest.fixture(scope="module")
def auxiliary(trained_digits: TrainedDigits) -> AuxiliaryNetwork:
    torch.set_num_threads(1)
    return noisy_auxiliary(trained_digits.folder)


@pytest.fixture(scope="module")
def guard(trained_digits: TrainedDigits, auxiliary: AuxiliaryNetwork) -> Guard:
    extractor = Extractor([trained_digits.backbone()], auxiliary=auxiliary, device="cpu")
    return Guard.fit(trained_digits.folder / "train", extractor, view_seed=3, alpha=0.1)


@pytest.fixture(scope="module")
def files(trained_digits: TrainedDigits) -> list[Path]:
    return sorted((trained_digits.folder / "test").glob("*/*"))[::6]


@pytest.fixture(scope="module")
def images(trained_digits: TrainedDigits) -> tuple[Tensor, Tensor]:
    _, images, labels = read_digits(trained_digits.folder / "test")
    return images, labels


def test_the_same_image_has_the_same_verdict_also_from_the_file(
    guard: Guard, auxiliary: AuxiliaryNetwork, files: list[Path], tmp_path: Path
) -> None:
    first = list(guard.check(files))
    reversed_ = list(guard.check(files[::-1]))[::-1]
    assert [verdict.opinion for verdict in reversed_] == [verdict.opinion for verdict in first]
    guard.save(tmp_path / "g.simdnn")
    assert stat.S_IMODE((tmp_path / "g.simdnn").stat().st_mode) == 0o600
    again = Guard.load(tmp_path / "g.simdnn", networks=[guard.extractor.backbones[0].network, auxiliary])
    assert again.model_id == guard.model_id
    assert list(again.check(files)) == first
    fresh = [verdict.opinion for verdict in guard.check(files, fresh=True)]
    assert fresh != [verdict.opinion for verdict in first]


@pytest.mark.parametrize("rule", ["profile+opinion", "second-opinion"])
def test_stopping_early_changes_no_verdict_and_saves_draws(
    guard: Guard, files: list[Path], rule: str
) -> None:
    whole, early = list(guard.check(files, rule=rule)), list(guard.check(files, rule=rule, early=True))
    assert [verdict.verdict for verdict in early] == [verdict.verdict for verdict in whole]
    assert {verdict.verdict for verdict in whole} == {"clean", "attack"}
    assert [verdict.opinion for verdict in early] != [verdict.opinion for verdict in whole]
    with pytest.raises(InputError, match="expected one threshold for all classes to stop early by"):
        guard.check(files, rule=rule, early=True, per_class=True, alpha=0.5)


@pytest.mark.parametrize(("early", "fresh"), [(True, False), (False, True)])
def test_options_for_draws_need_draws(guard: Guard, files: list[Path], early: bool, fresh: bool) -> None:
    with pytest.raises(
        InputError, match="the rule 'profile' draws no noise that could be fresh or end early"
    ):
        list(guard.check(files[:1], rule="profile", early=early, fresh=fresh))


def test_a_guard_does_not_print_its_secret(guard: Guard) -> None:
    assert guard.auxiliary is not None
    assert guard.auxiliary.secret not in repr(guard)


def test_a_second_opinion_needs_two_classes(
    trained_digits: TrainedDigits, auxiliary: AuxiliaryNetwork, tmp_path: Path
) -> None:
    shutil.copytree(trained_digits.folder / "train" / "3", tmp_path / "train" / "3")
    extractor = Extractor([trained_digits.backbone()], auxiliary=auxiliary, device="cpu")
    with pytest.raises(
        InputError, match="a second opinion needs images of at least two classes; got 3 alone"
    ):
        Guard.fit(tmp_path / "train", extractor, rule="second-opinion", draws=1, alpha=0.2)


def test_two_guards_have_different_secrets(guard: Guard, trained_digits: TrainedDigits) -> None:
    other = Guard.fit(trained_digits.folder / "train", guard.extractor, rule="second-opinion", draws=1)
    assert other.auxiliary is not None
    assert guard.auxiliary is not None
    assert other.auxiliary.secret != guard.auxiliary.secret
    assert (other.auxiliary.draws, guard.auxiliary.draws) == (1, 32)


def test_opinion_and_class_are_those_of_the_votes(guard: Guard, images: tuple[Tensor, Tensor]) -> None:
    assert guard.auxiliary is not None
    auxiliary = guard.extractor.auxiliary
    assert auxiliary is not None
    given = images[0][:10]
    for image, verdict in zip(given, guard.check_tensors(given), strict=True):
        assert verdict.opinion_class == verdict.classifier_label
        (counts,) = count_votes(auxiliary, image[None], guard.auxiliary.all_draws)
        assert verdict.opinion == counts[int(verdict.classifier_label or -1)] / 32


def test_the_score_is_the_smaller_of_profile_and_opinion(guard: Guard, files: list[Path]) -> None:
    rule = guard.rule
    assert isinstance(rule, ProfileAndOpinionRule)
    profile = np.array([verdict.score for verdict in guard.check(files, rule="profile")], dtype=float)
    shares = np.array([verdict.score for verdict in guard.check(files, rule="second-opinion")], dtype=float)
    both = np.array([verdict.score for verdict in guard.check(files)], dtype=float)
    np.testing.assert_allclose(both, np.minimum(profile, rule.scale.value(shares)), rtol=1e-6)
    assert (both < profile).any()


@pytest.mark.parametrize("rule", ["profile+opinion", "second-opinion"])
def test_too_few_votes_are_flagged_whatever_the_rest_says(guard: Guard, rule: str) -> None:
    of, offset = guard.rule_named(rule), guard.threshold(rule)
    needed = of.votes_needed(offset, 32)
    assert 0 < needed <= 32
    inputs = guard.calibration.inputs(guard.model)
    for votes, passes in ((needed - 1, False), (needed, True)):
        inputs.shares[:] = votes / 32
        scores = np.asarray(of.score(inputs))
        assert (scores >= offset).any() == passes


@pytest.mark.parametrize("rule", ["profile+opinion", "second-opinion"])
def test_the_rate_of_false_alarms_is_promised_for_the_whole_rule(
    guard: Guard, trained_digits: TrainedDigits, rule: str
) -> None:
    """Over many choices of the images that calibrate, with ties among the shares."""
    clean = guard.rule_named(rule).calibration_scores()[guard.calibration.clean]
    test = [verdict.score for verdict in guard.check(trained_digits.folder / "test", rule=rule)]
    pool = np.concatenate([clean, np.array(test, dtype=float)])
    rates = []
    for seed in range(300):
        shuffled = np.random.default_rng(seed).permutation(pool)
        threshold = ConformalThreshold(shuffled[:119], 0.1)
        rates.append(float(threshold.judge(shuffled[119:]).attack.mean()))
    assert np.mean(rates) <= 0.1 + 4 * np.std(rates) / 300**0.5
    assert np.mean(rates) > 0.05  # nor is it useless


def test_radii_are_those_of_the_counts(guard: Guard, files: list[Path]) -> None:
    auxiliary, record = guard.extractor.auxiliary, guard.auxiliary
    assert auxiliary is not None
    assert record is not None
    verdicts = list(guard.check(files[:20], certify=200))
    draws = record.all_draws.for_certificate(200)
    for batch in guard.extractor.stream(files[:20], pixels=True):
        assert batch.pixels is not None
        counts = count_votes(auxiliary, torch.from_numpy(batch.pixels), draws)
        for row, position in enumerate(batch.positions.tolist()):
            verdict = verdicts[position]
            votes = counts[row, int(verdict.classifier_label or -1)]
            expected = float(image_radius(votes, 200, sigma=SIGMA, norm=SIDE / 32, error=0.001))
            assert verdict.certified_radius == (expected if verdict.verdict == "clean" else None)
    assert max(verdict.certified_radius or 0 for verdict in verdicts) > 1


def test_the_majority_of_nearby_originals_is_the_certified_class(guard: Guard, files: list[Path]) -> None:
    """Attacks on the auxiliary network itself, just within the radius of the image as received."""
    auxiliary = guard.extractor.auxiliary
    assert auxiliary is not None
    verdicts = [verdict for verdict in guard.check(files[:20], certify=500) if verdict.certified_radius]
    assert len(verdicts) > 10
    for verdict in verdicts:
        radius, given = verdict.certified_radius or 0.0, int(verdict.opinion_class or -1)
        (batch,) = guard.extractor.stream([Path(verdict.path)], pixels=True)
        assert batch.pixels is not None
        moved = torch.from_numpy(batch.pixels).requires_grad_(True)
        others = auxiliary(torch.nn.functional.avg_pool2d(moved, 2)).index_fill(
            1, torch.tensor([given]), -torch.inf
        )
        (gradient,) = torch.autograd.grad(
            others.logsumexp(1).sum() - auxiliary(torch.nn.functional.avg_pool2d(moved, 2))[:, given].sum(),
            moved,
        )
        original = moved.detach() + 0.99 * radius * gradient / gradient.norm()
        (counts,) = count_votes(auxiliary, original, Draws(b"0" * 32, 2000))
        assert counts[given] > 1000 - 100  # about half, at worst: 4 standard deviations and more


def test_a_guard_without_second_opinion_certifies_nothing(
    trained_digits: TrainedDigits, files: list[Path]
) -> None:
    extractor = Extractor([trained_digits.backbone()], device="cpu")
    plain = Guard.fit(trained_digits.folder / "train", extractor, rule="similarity")
    with pytest.raises(InputError, match="the rule 'similarity' has no second opinion to certify with"):
        plain.check(files, certify=100)
    with pytest.raises(InputError, match="the rule 'second-opinion' needs an auxiliary network"):
        Guard.fit(trained_digits.folder / "train", extractor, rule="second-opinion")


def test_another_auxiliary_network_is_refused(
    guard: Guard, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    guard.save(tmp_path / "g.simdnn")
    own = guard.extractor.backbones[0].network
    other = Guard.load(tmp_path / "g.simdnn", networks=[own, noisy_auxiliary(trained_digits.folder, seed=1)])
    with pytest.raises(WeightsError, match="fitted with another auxiliary network"):
        _ = other.extractor
    absent = Guard.load(tmp_path / "g.simdnn", networks=[own, None])
    with pytest.raises(InputError, match="hand it over again"):
        _ = absent.extractor


def test_votes_are_kept_and_a_fit_goes_on(trained_digits: TrainedDigits, tmp_path: Path) -> None:
    """An interrupted fit takes up its secret, so that the votes in the cache are its own."""
    auxiliary = noisy_auxiliary(trained_digits.folder)
    with FeatureCache(tmp_path / "cache.sqlite") as cache:
        extractor = Extractor([trained_digits.backbone()], auxiliary=auxiliary, cache=cache, device="cpu")

        def stop(done: int, total: int) -> None:
            if done > total // 3:
                raise KeyboardInterrupt

        data = trained_digits.folder / "train"
        with pytest.raises(KeyboardInterrupt):
            Guard.fit(data, extractor, rule="second-opinion", draws=4, progress=stop)
        kept = len(cache)
        guard = Guard.fit(data, extractor, rule="second-opinion", draws=4)
        assert len(cache) > kept > 0
        assert guard.calibration.votes.sum(axis=1).tolist() == [4] * len(guard.calibration)
        assert len(cache) == 599  # nothing was computed under another secret


@pytest.mark.parametrize("rule", ["profile+opinion", "second-opinion"])
def test_an_explanation_shows_the_shares_and_the_radius(
    guard: Guard, files: list[Path], tmp_path: Path, rule: str
) -> None:
    file = files[5]
    (verdict,) = guard.check(file, rule=rule, certify=100)
    explanation = guard.explain(file, rule=rule, certify=100)
    assert explanation.verdict == verdict
    assert explanation.shares[verdict.opinion_class or ""] == verdict.opinion
    assert sum(explanation.shares.values()) == pytest.approx(1)
    draw_explanation(explanation, tmp_path / "why.svg")
    picture = (tmp_path / "why.svg").read_text(encoding="utf-8")
    assert f"certified radius L2 {verdict.certified_radius:.2f}" in picture
    assert "share of noisy draws" in picture
    assert guard.explain(file, rule="profile").shares == {}
    with pytest.raises(InputError, match="the rule 'profile' has no second opinion to certify with"):
        guard.explain(file, rule="profile", certify=100)
