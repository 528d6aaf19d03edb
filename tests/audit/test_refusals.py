"""What cannot be opened is refused in one line that holds no password."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from simdnn.audit.engine import connect
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError


def _refusal(target: str | Path, *, create: bool = True) -> str:
    with pytest.raises(AuditError) as raised:
        AuditStore.open(target, create=create)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database")
    assert _refusal(path) == f"cannot open the audit store sqlite:///{path}: file is not a database"
    assert path.read_text() == "not a database"


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.commit()
        assert _refusal(path) == f"expected an audit store in {path}, got another program's database"
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_server_may_hold_tables_of_others(postgresql: str) -> None:
    engine = connect(postgresql)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (a int)"))
    engine.dispose()
    with AuditStore.open(postgresql) as store:
        assert store.records() == []


@pytest.mark.parametrize("place", [".", "missing/audit.db"])
def test_a_folder_and_a_place_that_is_not_there(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    assert _refusal(path) == f"cannot open the audit store sqlite:///{path}: unable to open database file"


def test_a_place_that_cannot_be_written() -> None:
    """Not even root can make a file in /proc."""
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc, where nobody can make a file")
    assert _refusal("/proc/audit.db") == (
        "cannot open the audit store sqlite:////proc/audit.db: unable to open database file"
    )


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    assert _refusal(path, create=False) == (
        f"there is no audit store {path}; `simdnn check --audit {path}` makes one"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://ada:s3cret@127.0.0.1:1/audit", "ada:***@127.0.0.1:1/audit: connection failed"),
        ("postgresql+psycopg://ada@127.0.0.1:1/audit?password=s3cret", "ada@127.0.0.1:1/audit: connection failed"),
        ("postgresql+psycopg://ada:pass@s3cret@127.0.0.1:1/audit", "an @ in a user's name or password is written %40"),
        ("postgresql+psycopg://ada:s3cret", "the port is not a number"),
        ("nosuch://ada:s3cret@127.0.0.1/audit", "expected a file, or a URL such as postgresql+psycopg://user@host"),
        ("://s3cret", "expected a file, or a URL such as postgresql+psycopg://user@host"),
    ],
)  # fmt: skip
def test_no_password_in_the_refusal(url: str, said: str) -> None:
    text = _refusal(url)
    assert said in text
    assert "s3cret" not in text


def test_no_password_when_the_server_says_no(postgresql: str) -> None:
    said = _refusal(postgresql.replace("@/audit", "@/nosuch"))
    assert "does not exist" in said
    assert "auditor:***@" in said
    assert "hunter2" not in said


def test_no_password_when_the_database_goes_away(postgresql: str) -> None:
    with AuditStore.open(postgresql) as store:
        engine = connect(postgresql)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE record CASCADE"))
        engine.dispose()
        with pytest.raises(AuditError, match=r'failed: relation "record" does not exist$') as raised:
            store.records()
    assert "hunter2" not in str(raised.value)
