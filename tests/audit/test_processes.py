"""Several processes at once, and processes that die."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from simdnn.audit.engine import connect
from simdnn.audit.store import AuditStore

WRITER = """
import sys
from simdnn.audit.store import AuditStore
from simdnn.guard.verdict import Verdict
_, target, name, count = sys.argv
print("ready", flush=True)
sys.stdin.readline()
with AuditStore.open(target) as store:
    for number in range(int(count)):
        print(store.record(Verdict(f"{name}/{number}", "attack"), model_id="m"), flush=True)
"""


def _start(target: str, name: str, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, target, name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_open_and_write_at_once(target: str) -> None:
    """The store does not exist when all of them are let go: they also race to create its schema."""
    writers = [_start(target, name, 25) for name in "abcd"]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    acknowledged: dict[int, str] = {}
    for name, writer in zip("abcd", writers, strict=True):
        out, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0
        acknowledged |= {int(line): f"{name}/{number}" for number, line in enumerate(out.split())}
    assert len(acknowledged) == 100
    with AuditStore.open(target, create=False) as store:
        assert {record.id: record.path for record in store.records()} == acknowledged
        assert list(store.verify()) == []


def test_a_killed_writer_loses_no_acknowledged_record(target: str) -> None:
    with _start(target, "a", 1_000_000) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        acknowledged = [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        acknowledged += map(int, writer.stdout.read().split())
    assert writer.returncode == -9
    with AuditStore.open(target, create=False) as store:
        held = {record.id: record.path for record in store.records()}
        assert {number: held[number] for number in acknowledged} == {
            number: f"a/{serial}" for serial, number in enumerate(acknowledged)
        }
        assert list(store.verify()) == []
        assert len(held) - len(acknowledged) in (0, 1)  # one may have been kept and not yet acknowledged
        assert store.label(acknowledged[-1], "attack").human_label == "attack"


def test_a_reader_sees_whole_batches_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with AuditStore.open(path) as reader:
        writer = _start(str(path), "a", 40)
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        seen = []
        while writer.poll() is None:
            seen.append(len(reader.records()))
        writer.communicate()
        assert seen == sorted(seen)
        assert len(reader.records()) == 40


def test_sqlite_waits_for_the_disk_before_it_acknowledges(tmp_path: Path) -> None:
    """What a loss of power would show, and no test can: the settings that SQLite's own promise rests on."""
    engine = connect(tmp_path / "audit.db")
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    engine.dispose()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000}  # 2 is FULL


def test_opening_waits_for_another_who_writes_before_there_is_a_log(tmp_path: Path) -> None:
    """SQLite itself gives up at once here, however long it was told to wait."""
    path = tmp_path / "audit.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("PRAGMA user_version=0")
        with closing(sqlite3.connect(path, isolation_level=None)) as hasty:
            hasty.execute("PRAGMA busy_timeout=10000")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                hasty.execute("PRAGMA journal_mode=WAL")
        release = Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        with AuditStore.open(path) as store:
            assert store.records() == []
        release.join()
