"""The feature cache: exact, shared between processes, and plain about damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simdnn.errors import InputError
from simdnn.networks.cache import FeatureCache, Row, default_cache


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
        InputError, match=r"expected a feature cache in .*notes\.txt, .*delete it, it will be made"
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


def test_a_damaged_value_is_told(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c.sqlite") as cache:
        other = sqlite3.connect(tmp_path / "c.sqlite")
        other.execute("INSERT INTO row VALUES ('a', x'00112233')")
        other.commit()
        other.close()
        with pytest.raises(InputError, match=r"damaged or foreign file .*delete it"):
            cache.get("a")


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
