"""A guard on features judges as the estimator does; its file comes back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.conftest import Simdnn
from tests.features.examples import digits, write_npy

from simdnn.audit.store import AuditStore
from simdnn.errors import InputError, ModelFileError
from simdnn.features.guard import FeatureGuard
from simdnn.features.learning import learn_features
from simdnn.features.shards import Shards
from simdnn.paper.holdout import calibration_mask
from simdnn.paper.model import SimilarityModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, labels = digits()
    home = tmp_path_factory.mktemp("guard")
    write_npy(home / "train", samples[:1200], labels[:1200])
    held = samples[1200:].copy()
    held[-3:] = 16 - held[-3:]
    held[0, 5] = np.inf
    write_npy(home / "test", held, labels[1200:], parts=2)
    learn_features(Shards(home / "train")).save(home / "guard.simdnn")
    return home


def test_verdicts_are_those_of_eqs_10_to_13(folder: Path) -> None:
    guard = FeatureGuard.read(folder / "guard.simdnn")
    samples, labels = digits()
    out = calibration_mask(labels[:1200], 0.2, 0)
    model = SimilarityModel.learn(samples[:1200][~out], labels[:1200][~out])
    verdicts = list(guard.check(Shards(folder / "test")))
    assert len(verdicts) == len(samples) - 1200
    assert (verdicts[0].verdict, verdicts[0].path) == ("error", "part-0.npy:0")
    similarities = model.similarities(
        np.vstack([part.features for part in Shards(folder / "test").blocks()])[1:]
    )
    best = similarities.argmax(axis=1)
    ids = [prototype.id for prototype in model.prototypes]
    assert [v.prototype for v in verdicts[1:]] == [ids[i] for i in best]
    assert [v.score for v in verdicts[1:]] == similarities.max(axis=1).tolist()
    assert [v.label for v in verdicts[1:]] == model.labels(similarities).tolist()
    scores = np.sort(guard.calibration_scores)
    p_values = (1 + np.searchsorted(scores, similarities.max(axis=1), side="right")) / (1 + len(scores))
    assert [v.p_value for v in verdicts[1:]] == p_values.tolist()
    assert [v.verdict == "attack" for v in verdicts[1:]] == (p_values <= 0.05).tolist()
    assert {v.verdict for v in verdicts[-3:]} == {"attack"}


def test_the_file_comes_back_and_every_change_is_found(folder: Path, tmp_path: Path) -> None:
    path = folder / "guard.simdnn"
    one, other = learn_features(Shards(folder / "train")), FeatureGuard.read(path)
    assert_array_equal(np.vstack(one.parts), np.vstack(other.parts))
    assert (one.classes, one.exemplars, one.alpha) == (other.classes, other.exemplars, other.alpha)
    assert len(other.model_id) == 16
    raw = path.read_bytes()
    damaged = tmp_path / "damaged"
    for place in np.linspace(0, len(raw) - 1, 40).astype(int).tolist():
        damaged.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(ModelFileError):
            FeatureGuard.read(damaged)
    damaged.write_bytes(raw[:-1])
    with pytest.raises(ModelFileError, match="truncated or was altered"):
        FeatureGuard.read(damaged)
    with pytest.raises(ModelFileError, match="no guard on features"):
        FeatureGuard.read(folder / "train" / "part-0.npy")


def test_other_widths_and_thresholds(folder: Path, tmp_path: Path) -> None:
    guard = FeatureGuard.read(folder / "guard.simdnn")
    np.save(tmp_path / "narrow.npy", np.ones((2, 3)))
    with pytest.raises(InputError, match="expected 64 features in each row"):
        list(guard.check(Shards(tmp_path / "narrow.npy")))
    assert guard.threshold(alpha=0.2).offset > guard.threshold().offset
    flagged = [v.verdict for v in guard.check(Shards(folder / "test"), alpha=0.1, per_class=True)]
    assert flagged.count("attack") > 3
    with pytest.raises(InputError, match="calibration images cannot promise"):
        guard.threshold(alpha=1e-4)


def test_on_the_command_line(folder: Path, tmp_path: Path, simdnn: Simdnn) -> None:
    guard, store = tmp_path / "g.simdnn", tmp_path / "audit.db"
    code, out, err = simdnn("fit", "--features", folder / "train", "-o", guard, "--alpha", 0.1)
    assert code == 0, err
    assert "of 10 classes from 959 rows of 64 features; 241 more calibrate the threshold" in out
    code, out, err = simdnn("check", guard, "--features", folder / "test", "--quiet", "--audit", store)
    assert code == 1
    assert "error   part-0.npy:0: missing or infinite features" in out
    assert "part-1.npy:297: nearest is digit" in out
    with AuditStore.open(str(store)) as kept:
        assert kept.count() == out.count("attack  ")
    assert simdnn("check", guard, "--features", folder / "test", "--drift")[0] == 2
    code, _, err = simdnn("fit", folder, "--features", folder / "train", "-o", guard)
    assert (code, "leave out DATA" in err) == (2, True)
    code, _, err = simdnn("fit", "-o", guard)
    assert (code, "expected a folder of images or a CSV file, or --features" in err) == (2, True)
    code, _, err = simdnn("check", guard, "photos")
    assert (code, "no guard file" in err) == (2, True)
