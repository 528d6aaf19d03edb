"""Stores on both engines; PostgreSQL is a real server, started for the tests where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest


def _program(name: str) -> str | None:
    """Find one of PostgreSQL's programs; distributions keep them off the path."""
    places = [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1])]
    return shutil.which(name, path=os.pathsep.join(places))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Socket folder of a temporary PostgreSQL server that listens nowhere else."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl (Debian: apt-get install postgresql)")
    someone: dict[str, Any] = {"stdout": subprocess.DEVNULL, "check": True}
    # not pytest's own folder: a socket's path is short, and PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="simdnn-"))
    if os.geteuid() == 0:
        names = {user.pw_name for user in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in names), None)
        if user is None:
            pytest.skip("runs as root, and there is no other user to run PostgreSQL as")
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        someone |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    data = str(folder / "data")
    locale = ("--no-locale", "--encoding=UTF8")
    subprocess.run([initdb, "-D", data, "-U", "auditor", "-A", "trust", "-N", *locale], cwd="/", **someone)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    ctl = [pg_ctl, "-D", data, "-w", "-l", str(folder / "log")]
    subprocess.run([*ctl, "-o", options, "start"], cwd="/", **someone)
    try:
        yield str(folder)
    finally:
        subprocess.run([*ctl, "-m", "immediate", "stop"], cwd="/", **someone)
        shutil.rmtree(folder)


_numbers = count()


@pytest.fixture
def postgresql(server: str) -> str:
    """URL of an empty database on the server."""
    return new_database(server)


def new_database(server: str) -> str:
    """Make another empty database on the server; return its URL."""
    name = f"audit{next(_numbers)}"
    with psycopg.connect(host=server, user="auditor", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql+psycopg://auditor:hunter2@/{name}?host={server}"


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be opened, on each engine in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "audit.db")
    url: str = request.getfixturevalue("postgresql")
    return url
