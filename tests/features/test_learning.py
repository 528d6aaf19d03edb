"""Learning from shards gives what learning in memory gives, and that is the naive reference's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests import naive
from tests.features.examples import digits, write_npy

from simdnn.errors import InputError
from simdnn.features import learning, shards
from simdnn.features.learning import learn_features
from simdnn.features.shards import Shards
from simdnn.paper.estimator import SimDNN
from simdnn.paper.holdout import calibration_mask
from simdnn.paper.model import SimilarityModel
from simdnn.paper.scores import similarity_score


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_npy(tmp_path_factory.mktemp("features") / "shards", *digits())


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("block", [64 << 20, 64 * 4 * 37])
@pytest.mark.parametrize("sigma", ["shared", "prototype"])
def test_equals_learning_in_memory_to_the_last_bit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, n_jobs: int, block: int, sigma: str
) -> None:
    monkeypatch.setattr(shards.Shards.blocks, "__defaults__", (block,))
    guard = learn_features(Shards(folder), sigma=sigma, n_jobs=n_jobs, seed=3)  # type: ignore[arg-type]
    samples, labels = digits()
    out = calibration_mask(labels, 0.2, 3)
    model = SimilarityModel.learn(samples[~out], labels[~out], sigma=sigma)  # type: ignore[arg-type]
    assert guard.classes == model.classes
    assert_array_equal(np.vstack(guard.parts), model.prototypes.vectors)
    assert_array_equal(guard.support, model.prototypes.support)
    assert_array_equal(guard.variances, model.prototypes.variances)
    similarities = model.similarities(samples[out])
    assert_array_equal(guard.calibration_scores, similarity_score(similarities))
    assert_array_equal(np.array(guard.classes)[guard.calibration_labels], model.labels(similarities).tolist())
    learned = np.flatnonzero(~out)
    rows = [learned[prototype.exemplar] for prototype in model.prototypes]
    third = len(samples) // 3
    assert guard.exemplars == tuple(f"part-{row // third}.npy:{row % third}" for row in rows)


def test_equals_the_naive_reference(folder: Path) -> None:
    guard = learn_features(Shards(folder))
    samples, labels = digits()
    out = calibration_mask(labels, 0.2, 0)
    scaled = guard.scaling(samples[~out])
    parts, own = [], []
    for label in guard.classes:
        own.append(scaled[labels[~out] == label])
        parts.append(naive.learn(own[-1]))
    assert_array_equal(guard.support, np.concatenate([part.support for part in parts]))
    vectors = np.array([vector for part in parts for vector in part.vectors], dtype=float)
    assert_allclose(np.vstack(guard.parts), vectors, rtol=0, atol=1e-10)
    total = sum(
        naive.distance2(row.astype(naive.Wide), part.mean)
        for part, rows in zip(parts, own, strict=True)
        for row in rows
    )
    assert_allclose(guard.variances, float(total) / (~out).sum(), rtol=1e-10)


def test_partial_fit_streams_shards(folder: Path) -> None:
    samples, labels = digits()
    whole, streamed = SimDNN().fit(samples, labels), SimDNN()
    for block in Shards(folder).blocks(64 * 4 * 50):
        assert block.labels is not None
        streamed.partial_fit(block.features, block.labels)
    assert_array_equal(whole.prototypes_.vectors, streamed.prototypes_.vectors)
    assert_array_equal(whole.calibration_samples_, streamed.calibration_samples_)


def test_few_rows_calibrate_where_there_are_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "CALIBRATING", 90)
    guard = learn_features(Shards(folder))
    assert 80 <= len(guard.calibration_scores) <= 100
    assert guard.learned == 1797 - len(guard.calibration_scores)


def test_refusals(folder: Path, tmp_path: Path) -> None:
    samples, labels = digits()
    few = write_npy(tmp_path / "few", samples[:40], labels[:40])
    with pytest.raises(InputError, match=r"expected 19 rows that calibrate a false-alarm rate of 0\.05, got"):
        learn_features(Shards(few))
    holed = samples.copy()
    holed[700, 3] = np.nan
    with pytest.raises(InputError, match="expected finite features"):
        learn_features(Shards(write_npy(tmp_path / "holed", holed, labels)))
    np.save(tmp_path / "alone.npy", samples)
    with pytest.raises(InputError, match="expected a label for each row"):
        learn_features(Shards(tmp_path / "alone.npy"))
