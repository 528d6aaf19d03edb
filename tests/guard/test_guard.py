"""What a guard says of images, held against slow, obvious Python from the networks' features on."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.stats import betabinom
from tests import naive
from tests.guard.networks import digits_backbone

from simdnn.digits import read_digits
from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.guard.verdict import Verdict
from simdnn.images.files import labelled_images
from simdnn.networks.backbone import load_backbone
from simdnn.networks.cache import FeatureCache
from simdnn.networks.extractor import Extractor
from simdnn.paper.holdout import held_out

CLASSES = [str(digit) for digit in range(10)]


def scores_of(verdicts: list[Verdict]) -> NDArray[np.float64]:
    return np.array([verdict.score for verdict in verdicts], dtype=np.float64)


@pytest.fixture(scope="module")
def extractor(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    """With a cache, so that features do not depend on how images were put together in batches."""
    cache = FeatureCache(tmp_path_factory.mktemp("cache") / "features.sqlite")
    return Extractor([digits_backbone(digits)], batch_size=64, cache=cache)


@pytest.fixture(scope="module")
def mixed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean digits, negatives of digits, and files that cannot be read, all mixed."""
    folder = tmp_path_factory.mktemp("mixed")
    for i, path in enumerate(sorted((digits / "test").rglob("*.png"))[::5]):
        if i % 3 == 2:
            ImageOps.invert(Image.open(path)).save(folder / f"{i:03}_negative.png")
        else:
            copyfile(path, folder / f"{i:03}_clean.png")
    (folder / "010_a.png").write_bytes(b"no image")
    (folder / "064_z.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def guard(digits: Path, extractor: Extractor) -> Guard:
    return Guard.fit(digits / "train", extractor, m=1.0, rule="similarity")


class Reference:
    """Line 2 and eqs. 4 to 10 in slow Python, on the features of the training images."""

    def __init__(self, digits: Path, extractor: Extractor) -> None:
        paths, labels = labelled_images(digits / "train")
        features, names = extractor.extract(paths).features, np.array(labels)
        out = np.zeros(len(names), dtype=bool)
        for label in CLASSES:
            rows = np.flatnonzero(names == label)
            out[rows] = held_out(label, 0, len(rows), 0.2, 0)
        self.low, self.high = features[~out].min(axis=0), features[~out].max(axis=0)
        self.samples = [self.scaled(features[~out & (names == label)]) for label in CLASSES]
        self.learned = [naive.learn(own) for own in self.samples]
        self.labels = [label for label, one in zip(CLASSES, self.learned, strict=True) for _ in one.vectors]
        self.ids = [
            f"{label}/{j}"
            for label, one in zip(CLASSES, self.learned, strict=True)
            for j in range(len(one.vectors))
        ]
        self.calibration = self.similarities(features[out])

    def scaled(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """To [0, 1], in the single precision that features have; one that never changes goes to 0."""
        width = np.where(self.high > self.low, self.high - self.low, 1).astype(np.float32)
        scaled: NDArray[np.float32] = features * (1 / width) - self.low * (1 / width)
        return scaled

    def similarities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return naive.similarities(self.scaled(features), self.learned, self.samples)


@pytest.fixture(scope="module")
def reference(digits: Path, extractor: Extractor) -> Reference:
    return Reference(digits, extractor)


def test_similarity_equals_the_reference(
    guard: Guard, reference: Reference, extractor: Extractor, mixed: Path
) -> None:
    verdicts = [v for v in guard.check(mixed) if v.verdict != "error"]
    found = extractor.extract([Path(v.path) for v in verdicts])
    similarities = reference.similarities(found.features)
    best, calibration = similarities.argmax(axis=1), reference.calibration.max(axis=1).tolist()
    p_values = np.array([naive.p_value(calibration, s) for s in similarities.max(axis=1).tolist()])

    assert_allclose(scores_of(verdicts), similarities.max(axis=1), rtol=0, atol=1e-10)
    assert_allclose(np.array([v.p_value for v in verdicts], np.float64), p_values, rtol=0, atol=1e-12)
    assert [v.label for v in verdicts] == [reference.labels[j] for j in best]
    assert [v.prototype for v in verdicts] == [reference.ids[j] for j in best]
    assert [v.classifier_label for v in verdicts] == [str(k) for k in found.logits.argmax(axis=1)]
    assert [v.verdict for v in verdicts] == ["attack" if p <= 0.05 else "clean" for p in p_values]
    assert {v.rule for v in verdicts} == {"similarity"}
    flagged = np.array([v.verdict == "attack" for v in verdicts])
    negative = np.array(["negative" in v.path for v in verdicts])
    assert flagged[negative].mean() > 0.9
    assert flagged[~negative].mean() < 0.2


def test_evidence_names_the_best_prototype_of_each_of_the_best_classes(
    guard: Guard, reference: Reference, extractor: Extractor, mixed: Path
) -> None:
    verdicts = [v for v in guard.check(mixed) if v.verdict != "error"][:20]
    similarities = reference.similarities(extractor.extract([Path(v.path) for v in verdicts]).features)
    for verdict, row in zip(verdicts, similarities, strict=True):
        best = {
            label: max((s, j) for j, s in enumerate(row) if reference.labels[j] == label) for label in CLASSES
        }
        expected = sorted(best.values(), reverse=True)[:3]
        assert [n.prototype for n in verdict.evidence] == [reference.ids[j] for _, j in expected]
        assert_allclose([n.similarity for n in verdict.evidence], [s for s, _ in expected], atol=1e-10)
        assert all(n.prototype.startswith(f"{n.label}/") for n in verdict.evidence)
        assert verdict.score == verdict.evidence[0].similarity


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_published_rule_equals_the_reference_along_the_stream(
    guard: Guard, reference: Reference, extractor: Extractor, mixed: Path, batch_size: int
) -> None:
    cut = Extractor(extractor.backbones, batch_size=batch_size, cache=extractor.cache)
    same = copy(guard)
    same._extractor = cut
    verdicts = [v for v in same.check(mixed, rule="published") if v.verdict != "error"]
    found = extractor.extract([Path(v.path) for v in verdicts])
    scores = [naive.winning_lambda(row) for row in reference.similarities(found.features).tolist()]
    calibration = [naive.winning_lambda(row) for row in reference.calibration.tolist()]

    assert_allclose(scores_of(verdicts), np.array(scores), rtol=0, atol=1e-10)
    flags = naive.stream(calibration, scores, 1.0)
    assert [v.verdict == "attack" for v in verdicts] == flags
    assert 0 < sum(flags) < len(flags)
    assert {v.p_value for v in verdicts} == {None}
    thresholds = [v.threshold for v in verdicts if v.threshold is not None]
    assert len(set(thresholds)) > len(verdicts) / 2  # it moves
    assert_array_equal(flags, scores_of(verdicts) < thresholds)


def test_verdicts_come_in_the_order_of_the_images(guard: Guard, mixed: Path) -> None:
    verdicts = list(guard.check(mixed))
    assert [v.path for v in verdicts] == [str(path) for path in sorted(mixed.iterdir())]
    errors = {Path(v.path).name: v for v in verdicts if v.verdict == "error"}
    assert errors["064_z.png"] == Verdict(str(mixed / "064_z.png"), "error", error="the file is empty")
    assert set(errors) == {"010_a.png", "064_z.png"}
    given = [mixed / "004_clean.png", mixed / "010_a.png", mixed / "000_clean.png", mixed / "004_clean.png"]
    assert [v.path for v in guard.check(given)] == [str(path) for path in given]


def test_alpha_can_be_asked_for_anew(guard: Guard, mixed: Path) -> None:
    strict, usual, lax = ([v.verdict for v in guard.check(mixed, alpha=alpha)] for alpha in (0.01, 0.05, 0.5))
    assert strict.count("attack") <= usual.count("attack") < lax.count("attack")
    assert usual == [v.verdict for v in guard.check(mixed)]
    n = guard.training.calibrated
    with pytest.raises(
        InputError, match=rf"^{n} calibration images cannot promise a .* rate of 0\.001; give"
    ):
        guard.check(mixed, alpha=0.001)
    with pytest.raises(InputError, match="alpha is a false-alarm rate, expected between 0 and 1; got 2"):
        guard.check(mixed, alpha=2.0)
    with pytest.raises(InputError, match="no rule 'nonsense'"):
        guard.check(mixed, rule="nonsense")


def test_false_alarms_are_as_many_as_promised(guard: Guard, digits: Path) -> None:
    n, images = guard.training.calibrated, 599
    flagged = sum(v.verdict == "attack" for v in guard.check(digits / "test"))
    k = int(0.05 * (n + 1))
    law = betabinom(images, k, n + 1 - k)
    assert law.ppf(0.0005) <= flagged <= law.ppf(0.9995)


def test_tensors_are_judged_as_their_files_are(guard: Guard, digits: Path) -> None:
    paths, images, _ = read_digits(digits / "test")
    by_file = list(guard.check(paths[:40]))
    by_tensor = guard.check_tensors(images[:40], [str(path) for path in paths[:40]])
    assert [v.verdict for v in by_tensor] == [v.verdict for v in by_file]
    assert_allclose(scores_of(by_tensor), scores_of(by_file), rtol=1e-5)
    assert [v.path for v in guard.check_tensors(images[:2])] == ["0", "1"]
    assert guard.check_tensors(images[:0]) == []


def test_tensors_that_are_no_images(guard: Guard) -> None:
    images = torch.rand(3, 3, 32, 32)
    images[1, 0, 0, 0] = torch.nan
    first, second, _ = guard.check_tensors(images)
    assert first.error is None
    assert (second.verdict, second.error) == ("error", "expected pixels in [0, 1], got nan to nan")
    (wrong,) = guard.check_tensors(torch.rand(1, 3, 8, 8))
    assert wrong.error == "expected floating-point pixels of shape (3, 32, 32), got torch.float32 (3, 8, 8)"
    with pytest.raises(InputError, match="expected a name for each of the 3 images, got 1"):
        guard.check_tensors(images, ["one"])


def test_what_a_network_makes_no_number_of_is_never_clean(guard: Guard, digits: Path) -> None:
    """Compared with a threshold, a score that is no number would pass."""
    network = guard.classifier.get_submodule("backbone.network")
    weight = network.get_parameter("features.10.weight")
    sound = weight.clone()
    paths = sorted((digits / "test" / "3").iterdir())[:2]
    bare = copy(guard)
    bare._extractor = Extractor(guard.extractor.backbones)
    try:
        weight.data[0] = torch.nan
        verdicts = list(bare.check(paths))
    finally:
        weight.data.copy_(sound)
    assert {v.verdict for v in verdicts} == {"error"}
    assert {v.error for v in verdicts} == {"the network gives missing or infinite numbers for this image"}
    assert {v.verdict for v in bare.check(paths)} <= {"clean", "attack"}


def test_paths_that_do_not_exist_are_told_at_once(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere, which does not exist"):
        guard.check(tmp_path / "nowhere")
    with pytest.raises(InputError, match="got none in"):
        guard.check(tmp_path)


def test_the_classifier_is_the_bare_network(guard: Guard, digits: Path) -> None:
    paths, images, _ = read_digits(digits / "test")
    images = images[:8].requires_grad_()
    logits = guard.classifier(images)
    assert [str(k) for k in logits.argmax(dim=1).tolist()] == [
        v.classifier_label for v in guard.check(paths[:8])
    ]
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.abs().amax(dim=(1, 2, 3)).min() > 0


def test_progress_ends_with_all(guard: Guard, mixed: Path) -> None:
    seen: list[tuple[int, int]] = []
    count = len(list(guard.check(mixed, progress=lambda done, total: seen.append((done, total)))))
    assert seen == [(64, count), (count, count)]


def test_photographs(data: Path, tmp_path: Path) -> None:
    classes = ("n01440764", "n02979186", "n03028079", "n03445777")
    for part, count in (("train", 10), ("val", 4)):
        for name in classes:
            (tmp_path / part / name).mkdir(parents=True)
            for photo in sorted((data / "imagenette224" / part / name).iterdir())[:count]:
                (tmp_path / part / name / photo.name).symlink_to(photo)
    half = (0.5, 0.5, 0.5)
    weights = data / "weights" / "mobilenet_v2.safetensors"
    backbone = load_backbone("mobilenet_v2", weights, mean=half, std=half)
    guard = Guard.fit(tmp_path / "train", Extractor([backbone]), alpha=0.2, rule="similarity")
    verdicts = list(guard.check(tmp_path / "val"))
    assert guard.training.learned + guard.training.calibrated == 40
    right = [v.label == Path(v.path).parent.name for v in verdicts]
    assert np.mean(right) >= 0.8
    tenches = [v.classifier_label for v in verdicts if "n01440764" in v.path]
    assert tenches.count("tench") >= 3
