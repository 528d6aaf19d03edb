"""A driver that is killed goes on from its finished blocks, and records every verdict once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.distributed import interrupted

from simdnn.audit.store import AuditStore
from simdnn.distributed.manifest import Manifest
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images

pytest.importorskip("ray.data", reason="needs Ray: pip install 'simdnn[ray]'")


@pytest.mark.slow
def test_a_killed_driver_goes_on_and_records_each_verdict_once(digits: Path, tmp_path: Path) -> None:
    photos = digits / "test"
    store = f"{tmp_path / 'audit.db'}"
    command = [sys.executable, interrupted.__file__, str(digits / "guard.simdnn"), str(photos)]
    command += [str(tmp_path / "runs"), store]
    killed = subprocess.run([*command, "20"], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert len(list((tmp_path / "runs").glob("*/*.block"))) >= 2
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    images = len(find_images([photos]))
    assert 2 <= before < after <= -(-images // 16) + 2
    guard = Guard.load(digits / "guard.simdnn", trust=["simdnn.networks.digits:digits_network"])
    expected = {verdict.path: verdict.verdict for verdict in guard.check(photos)}
    with AuditStore.open(store) as kept:
        records = kept.records()
    assert Counter(record.path for record in records) == Counter(dict.fromkeys(expected, 1))
    assert {record.path: record.verdict for record in records} == expected
    assert not list((tmp_path / "runs").iterdir())


def test_a_damaged_block_is_run_again(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "run")
    manifest.add(b"not what its name says")
    (path,) = tmp_path.glob("run/*.block")
    path.write_bytes(b"changed")
    assert list(manifest.blocks()) == []
    assert not path.exists()
    assert Manifest(tmp_path / "run").started == manifest.started
    manifest.forget()
    assert not (tmp_path / "run").exists()
