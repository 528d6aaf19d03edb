"""A driver that is killed goes on from its finished blocks, and records every verdict once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from tests.distributed import interrupted
from tests.guard.networks import digits_backbone

from simdnn.audit.store import AuditStore
from simdnn.distributed.cluster import Cluster
from simdnn.distributed.extractor import RayExtractor
from simdnn.distributed.manifest import Manifest
from simdnn.distributed.sources import find_source
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.images.limits import DEFAULT_LIMITS, ReadLimits

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


def test_a_replaced_image_other_limits_and_errors_are_run_again(
    cluster: Cluster, digits: Path, tmp_path: Path
) -> None:
    photos, runs = tmp_path / "photos", tmp_path / "runs"
    shutil.copytree(digits / "test" / "0", photos)
    backbone = digits_backbone(digits)
    names = find_images([photos])[:3]
    one, two = names[:2]
    other = find_images([digits / "test" / "1"])[0]
    whole = two.read_bytes()
    two.write_bytes(bytes(len(whole)))
    time = two.stat().st_mtime_ns

    def run(limits: ReadLimits = DEFAULT_LIMITS) -> tuple[list[str], list[int]]:
        """Run as a driver that is killed before it forgets the blocks."""
        extractor = RayExtractor(
            [backbone],
            cluster=cluster,
            source=find_source([photos], labelled=False),
            runs=runs,
            limits=limits,
        )
        found = extractor.extract(names)
        return list(found.image_sha256), sorted(found.errors)

    def hashes(*paths: Path) -> list[str]:
        return [sha256(path.read_bytes()).hexdigest() for path in paths]

    assert run() == (hashes(one, names[2]), [1])
    two.write_bytes(whole)  # as if it could be read again: neither size nor time has changed
    os.utime(two, ns=(time, time))
    assert run() == (hashes(*names), [])
    assert len(list(runs.iterdir())) == 1
    shutil.copy(other, one)
    assert run() == (hashes(other, two, names[2]), [])
    assert run(ReadLimits(max_pixels=1)) == ([], [0, 1, 2])


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
