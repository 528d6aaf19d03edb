"""Reading changes nothing and needs no right to write."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import make_url

from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

Simdnn = Callable[..., tuple[int, str, str]]

# Read as someone who may only read; what Python imports late is imported before.
READER = """
import os, sys
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
_, warm, target = sys.argv
AuditStore.open(warm, read_only=True).close()
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    with AuditStore.open(target, read_only=True) as store:
        print([record.path for record in store.records()])
        store.label(1, "attack")
except AuditError as error:
    print(error)
"""


def _read_as_another(target: Path, warm: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", READER, str(warm), str(target)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may enter, which pytest's own are not."""
    with TemporaryDirectory(prefix="simdnn-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def warm(folder: Path) -> Path:
    """Another store."""
    AuditStore.open(folder / "warm.db").close()
    return folder / "warm.db"


@pytest.fixture
def path(folder: Path) -> Path:
    """A store with one record, alone in its folder; others may read it."""
    path = folder / "store" / "audit.db"
    path.parent.mkdir()
    with AuditStore.open(path) as store:
        store.record(Verdict("a.png", "attack"), model_id="m")
    path.chmod(0o644)
    return path


def test_reading_leaves_no_trace(path: Path) -> None:
    before = path.read_bytes()
    with AuditStore.open(path, read_only=True) as store:
        assert [record.path for record in store.records()] == ["a.png"]
    assert [file.name for file in path.parent.iterdir()] == ["audit.db"]
    assert path.read_bytes() == before


def test_a_store_that_is_read_cannot_be_written(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        number = store.record(attack, model_id="m")
    with AuditStore.open(target, read_only=True) as store:
        assert store.get(number).path == attack.path
    if "://" not in target:
        with (
            AuditStore.open(target, read_only=True) as store,
            pytest.raises(AuditError, match=r"failed: attempt to write a readonly database$"),
        ):
            store.label(number, "clean")


def test_reading_waits_for_no_writer(path: Path, simdnn: Simdnn) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO chain_head VALUES ('another', 1, 'ab')")
        code, out, err = simdnn("audit", path, "list")
        assert (code, err) == (0, "")
        assert out.splitlines()[1].endswith("a.png")
        with AuditStore.open(path) as store:  # nor does opening to write, where the schema is there
            assert store.count() == 1


def test_someone_who_may_only_read(path: Path, warm: Path) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)
    listed, refusal = _read_as_another(path, warm)
    assert listed == "['a.png']"
    assert refusal.endswith("failed: attempt to write a readonly database")
    assert [file.name for file in path.parent.iterdir()] == ["audit.db"]
    path.parent.chmod(0o755)


def test_someone_who_may_only_read_sees_what_a_writer_has_just_added(path: Path, warm: Path) -> None:
    with AuditStore.open(path) as writer:
        writer.record(Verdict("b.png", "attack"), model_id="m")
        assert Path(f"{path}-wal").stat().st_size > 0
        assert _read_as_another(path, warm)[0] == "['b.png', 'a.png']"


def test_a_log_without_its_index_is_not_passed_over(path: Path, folder: Path, warm: Path) -> None:
    """As on a copy that was made while somebody wrote: the newest records are in the log alone."""
    copied = folder / "copy"
    copied.mkdir()
    with AuditStore.open(path) as writer:
        writer.record(Verdict("b.png", "attack"), model_id="m")
        for name in ("audit.db", "audit.db-wal"):
            shutil.copy(path.parent / name, copied / name)
            (copied / name).chmod(0o444)
    copied.chmod(0o555)
    (refusal,) = _read_as_another(copied / "audit.db", warm)
    copied.chmod(0o755)
    assert refusal == (
        f"cannot open the audit store sqlite:///{copied}/audit.db: unable to open database file; its log "
        f"audit.db-wal holds records that only someone who can write {copied} can read: copy both files to a "
        "folder of your own and open the copy"
    )


def test_a_server_needs_to_grant_no_more_than_select(postgresql: str) -> None:
    with AuditStore.open(postgresql) as store:
        store.record(Verdict("a.png", "attack"), model_id="m")
    url = make_url(postgresql)
    reader = f"reader_{url.database}"
    host = str(url.query["host"])
    with psycopg.connect(host=host, user="auditor", dbname=url.database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {reader} LOGIN".encode())
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}".encode())
    target = url.set(username=reader, password=None).render_as_string()
    with AuditStore.open(target, read_only=True) as store:
        assert [record.path for record in store.records()] == ["a.png"]
        assert list(store.verify()) == []
        with pytest.raises(AuditError, match=r"failed: .*(permission denied|read-only transaction)"):
            store.label(1, "attack")


@pytest.mark.parametrize("content", [b"", None])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.db"
    if content is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (a)")
    else:
        path.write_bytes(content)
    expected = rf"^expected an audit store in sqlite:///{path}, got a database without its tables$"
    with pytest.raises(AuditError, match=expected):
        AuditStore.open(path, read_only=True)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    expected = rf"^cannot open the audit store sqlite:///{tmp_path}: unable to open database file$"
    with pytest.raises(AuditError, match=expected):
        AuditStore.open(tmp_path, read_only=True)


def test_a_store_on_a_full_disk_can_be_read(path: Path) -> None:
    """A limit on the size of files stands for the disk: SQLite cannot even make the index of its log."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n" + READER
    done = subprocess.run(
        [sys.executable, "-c", limited, str(path), str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "['a.png']"
