"""The feature cache: exact, shared between processes, and plain about damage."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from simdnn.cli.cache import app
from simdnn.errors import InputError
from simdnn.networks.cache import FeatureCache, Row, clear_cache, default_cache, open_default_cache


def kept(cache: FeatureCache, key: str) -> Row:
    row = cache.get(key)
    assert row is not None
    return row


def test_what_is_put_comes_back_after_closing(tmp_path: Path) -> None:
    rows: dict[str, Row] = {
        "a": {"features": np.array([[1.5, np.nan], [-0.0, np.inf]], np.float32), "logits": np.arange(3)},
        "b": {"features": np.arange(8, dtype=np.float32).reshape(4, 2)[::2]},  # not contiguous
    }
    with FeatureCache(tmp_path / "new" / "c.sqlite") as cache:
        cache.put(rows)
        cache.put({"b": {"features": np.zeros(1, np.float32)}, "c": rows["b"]})
    with FeatureCache(tmp_path / "new" / "c.sqlite") as cache:
        assert len(cache) == 3
        assert cache.get("d") is None
        found = {key: kept(cache, key) for key in "abc"}
    for name, array in rows["a"].items():
        np.testing.assert_array_equal(found["a"][name], array)
        assert found["a"][name].dtype == array.dtype
    np.testing.assert_array_equal(found["b"]["features"], [0])
    np.testing.assert_array_equal(found["c"]["features"], [[0, 1], [4, 5]])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
from simdnn.networks.cache import FeatureCache
with FeatureCache(sys.argv[1]) as cache:
    for i in range(100):
        cache.put({f"{sys.argv[2]}{i}": {"features": np.full(500, i, np.float32)}})
"""
    path = tmp_path / "c.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with FeatureCache(path) as cache:
        assert len(cache) == 200
        assert kept(cache, "b99")["features"].tolist() == [99.0] * 500


def test_a_foreign_or_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    foreign = tmp_path / "notes.txt"
    foreign.write_text("these are notes and no data base, " * 50)
    with pytest.raises(
        InputError, match=r"expected a feature cache in .*notes\.txt, .*delete it, and a new one will be made"
    ):
        FeatureCache(foreign)
    path = tmp_path / "c.sqlite"
    with FeatureCache(path) as cache:
        cache.put({str(i): {"features": np.zeros(2000, np.float32)} for i in range(20)})
    content = bytearray(path.read_bytes())
    content[5000:60000] = b"\xa5" * 55000
    path.write_bytes(content)
    with FeatureCache(path) as cache, pytest.raises(InputError, match=r"damaged or foreign file .*delete it"):
        [cache.get(str(i)) for i in range(20)]


@pytest.mark.parametrize(
    "statement", ["arrays = x'00112233'", "arrays = zeroblob(length(arrays))", "key = 'b'"]
)
def test_a_damaged_row_counts_as_absent_and_is_said(
    statement: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.sqlite"
    with FeatureCache(path) as cache:
        cache.put({"a": {"features": np.arange(3.0)}})
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(f"UPDATE row SET {statement}")
        key = "b" if "key" in statement else "a"
        assert cache.get(key) is None
        assert caplog.messages == [f"{path}: a row is damaged, and is computed again; check the disk"]
        cache.put({key: {"features": np.arange(4.0)}})
        assert kept(cache, key)["features"].tolist() == [0, 1, 2, 3]


def test_every_flipped_bit_of_a_row_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with FeatureCache(path) as cache, closing(sqlite3.connect(path)) as other:
        cache.put({"a": {"features": np.arange(2, dtype=np.float32)}})
        (whole,) = other.execute("SELECT arrays FROM row").fetchone()
        for bit in range(8 * len(whole)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            with other:
                other.execute("UPDATE row SET arrays = ?", (bytes(flipped),))
            assert cache.get("a") is None


def test_processes_that_make_one_cache_at_once_all_can_use_it(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
import numpy as np
from simdnn.networks.cache import FeatureCache
folder, name = Path(sys.argv[1]), sys.argv[2]
for i in range(15):
    (folder / f"{i}.{name}.ready").touch()
    while len(list(folder.glob(f"{i}.*.ready"))) < 5:
        time.sleep(0.001)
    with FeatureCache(folder / f"{i}.sqlite") as cache:
        cache.put({name: {"features": np.zeros(3)}})
"""
    makers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in "abcde"]
    assert [maker.wait(120) for maker in makers] == [0] * 5
    for i in range(15):
        with FeatureCache(tmp_path / f"{i}.sqlite") as cache:
            assert len(cache) == 5


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "new" / "c.sqlite"
        with FeatureCache(path) as cache:
            cache.put({"a": {"features": np.zeros(3)}})
            assert modes(path.parent) == {"c.sqlite": 0o600, "c.sqlite-wal": 0o600, "c.sqlite-shm": 0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        path.chmod(0o644)
        FeatureCache(path).close()
        assert modes(path.parent) == {"c.sqlite": 0o600}
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_a_cache_of_the_first_version_is_made_anew_and_another_data_base_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE row (key TEXT PRIMARY KEY, arrays BLOB NOT NULL)")
        db.execute("INSERT INTO row VALUES ('a', x'00')")
    with FeatureCache(path) as cache:
        assert cache.get("a") is None
        cache.put({"a": {"features": np.ones(1)}})
        assert kept(cache, "a")["features"].tolist() == [1]
    for name, columns in {"record": "key, arrays", "row": "key, price"}.items():
        foreign = tmp_path / f"{name}.sqlite"
        with closing(sqlite3.connect(foreign)) as db, db:
            db.execute(f"CREATE TABLE {name} ({columns})")
        foreign.chmod(0o644)
        before = foreign.read_bytes()
        with pytest.raises(InputError, match=r"got the database of another program; choose another file"):
            FeatureCache(foreign)
        with pytest.raises(InputError, match=r"got a foreign file; delete it yourself"):
            clear_cache(foreign)
        assert (foreign.read_bytes(), stat.S_IMODE(foreign.stat().st_mode)) == (before, 0o644)


def test_beyond_the_limit_the_rows_go_that_were_not_used_for_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, limit = tmp_path / "c.sqlite", 1_000_000
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    row = {"features": np.zeros(5_000, np.float32)}  # 20 kB
    with FeatureCache(path, limit) as cache:
        cache.keep_run_state("fit", "seed")
        for i in range(30):
            now += 1
            cache.put({str(i): row})
        now += 7200
        assert cache.get("0") is not None
        for i in range(30, 60):
            now += 1
            cache.put({str(i): row})
        assert 0.8 * limit < cache.info().bytes <= limit
        left = [int(key) for key in map(str, range(60)) if cache.get(key) is not None]
        assert left == [0, *range(left[1], 60)]
        assert cache.run_state("fit") == "seed"
        cache.put({"vast": {"features": np.zeros(limit, np.float32)}})
        assert (len(cache), cache.run_state("fit")) == (0, "seed")
    assert path.stat().st_size < 10 * limit


def test_the_state_of_a_run_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c.sqlite") as cache:
        assert cache.run_state("fit") is None
        cache.keep_run_state("fit", "first")
        cache.keep_run_state("fit", '{"seed": "ä"}')
    with FeatureCache(tmp_path / "c.sqlite") as cache:
        assert cache.run_state("fit") == '{"seed": "ä"}'
        cache.forget_run_state("fit")
        assert cache.run_state("fit") is None


def test_a_home_that_cannot_be_written_is_worked_without_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert open_default_cache() is None
    (said,) = caplog.messages
    assert said.startswith("nothing is cached: ")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened = open_default_cache()
    assert opened is not None
    assert opened.path == default_cache()
    opened.close()


def test_the_command_shows_and_clears(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with FeatureCache(path) as cache:
        cache.put({"a": {"features": np.zeros(3)}})
        size = cache.info().bytes
    for arguments, told in (
        (["info", "--json"], {"path": str(path), "rows": 1, "bytes": size, "limit": 4 << 30}),
        (["clear", "--json"], {"path": str(path), "freed_bytes": size}),
        (["info", "--json"], {"path": str(path), "rows": 0, "bytes": 0, "limit": 4 << 30}),
        (["clear", "--json"], {"path": str(path), "freed_bytes": 0}),
    ):
        done = CliRunner().invoke(app, [*arguments, "--cache", str(path)])
        assert json.loads(done.output) == told
        assert done.exit_code == 0
    assert CliRunner().invoke(app, ["clear", "--cache", str(path)]).output == f"nothing is kept in {path}\n"
    assert not path.exists()


def test_a_damaged_cache_can_be_cleared(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    FeatureCache(path).close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or foreign file"):
        FeatureCache(path)
    assert clear_cache(path) == len(content)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be used: .*choose another file"):
        FeatureCache(tmp_path / "file" / "c.sqlite")
    with pytest.raises(InputError, match=r"cannot be used: .*choose another file"):
        FeatureCache(tmp_path)


def test_the_default_lies_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().parts[-2:] == ("simdnn", "features.sqlite")
    assert not default_cache().exists()
