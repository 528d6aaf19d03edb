"""A guard of many processes is that of one, and so are its verdicts, also where processes are killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.distributed.conftest import on
from tests.guard.networks import digits_backbone

from simdnn.digits import one_thread
from simdnn.distributed.checking import check_on_ray
from simdnn.distributed.cluster import Cluster
from simdnn.distributed.fitting import fit_on_ray
from simdnn.guard.fitting import Fit
from simdnn.guard.guard import Guard
from simdnn.guard.settings import Settings
from simdnn.networks.extractor import Extractor


def workers() -> list[int]:
    """Processes of this test's own cluster that run networks."""
    parents, names = dict[int, int](), dict[int, str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                names[int(entry.name)] = (entry / "cmdline").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def ours(pid: int) -> bool:
        while pid > 1:
            if pid == os.getpid():
                return True
            pid = parents.get(pid, 0)
        return False

    return [pid for pid, name in names.items() if name.startswith("ray::MapWorker") and ours(pid)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the cluster's processes: with other numbers of threads, PyTorch rounds in another order."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def photos(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some training digits of each class, one of them no picture at all."""
    folder = tmp_path_factory.mktemp("photos")
    for label in sorted((digits / "train").iterdir()):
        (folder / label.name).mkdir()
        for path in sorted(label.iterdir())[:24]:
            shutil.copy(path, folder / label.name)
    (folder / "3" / "broken.png").write_bytes(b"no picture")
    (folder / "3" / "empty.png").touch()
    return folder


@pytest.fixture(scope="module")
def alone(digits: Path, photos: Path) -> Guard:
    return Guard.fit(photos, Extractor([digits_backbone(digits)]), seed=3, view_seed=7)


def test_the_guard_and_its_verdicts_are_those_of_one_process_though_two_are_killed(
    cluster: Cluster, digits: Path, photos: Path, alone: Guard, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill_some(done: int, total: int) -> None:
        if len(killed) < 2 and done > (len(killed) * total) // 4:
            for pid in workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    extractor = on(cluster, digits_backbone(digits), photos, tmp_path)
    fit = Fit(photos, Settings(seed=3), "standard", 0.2, None, 7, False, 0.05)
    guard = fit_on_ray(fit, extractor, kill_some)
    assert len(killed) == 2
    ours, theirs = guard.model.prototypes, alone.model.prototypes
    assert_allclose(ours.vectors, theirs.vectors, rtol=0, atol=1e-6)
    assert_array_equal(ours.support, theirs.support)
    assert [p.id for p in ours] == [p.id for p in theirs]
    assert guard.threshold() == pytest.approx(alone.threshold(), abs=1e-6)
    assert guard.training.unreadable == alone.training.unreadable
    assert {i: e.name for i, e in guard.exemplars.items()} == {i: e.name for i, e in alone.exemplars.items()}
    extractor.forget_runs()
    assert not list(tmp_path.iterdir())

    test = on(cluster, digits_backbone(digits), photos, tmp_path, labelled=False)
    verdicts = [verdict for verdict, _ in check_on_ray(guard, test)]
    expected = list(alone.check(photos))
    assert [v.path for v in verdicts] == [v.path for v in expected]
    assert [(v.verdict, v.label, v.error) for v in verdicts] == [
        (v.verdict, v.label, v.error) for v in expected
    ]
    assert_allclose(
        np.array([v.score for v in verdicts], dtype=float),
        np.array([v.score for v in expected], dtype=float),
        atol=1e-4,
    )
    assert {v.verdict for v in verdicts} >= {"clean", "error"}
