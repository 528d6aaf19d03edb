"""The guard file: whole or not at all, and nothing but a guard."""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import threading
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from numpy.testing import assert_array_equal
from tests.guard.small import content, small_guard, use

from simdnn.errors import ModelFileError, OutputError
from simdnn.guard import file as guard_file
from simdnn.guard.guard import Guard

ALTERED = "is truncated or was altered: its content does not match its digest; take another copy of it"
NO_GUARD = "is no guard file, or damaged; expected one that `simdnn fit` wrote"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("raw") / "g.simdnn"
    small_guard().save(path)
    return path.read_bytes()


def test_round_trip(tmp_path: Path) -> None:
    header, tensors = content(tmp_path)
    assert header["networks"][0]["spec"]["name"] == "mine"
    assert header["training"]["unreadable"] == ["bad.png"]
    back, arrays = guard_file.decode(guard_file.encode(header, tensors), "x")
    assert back == header
    assert set(arrays) == set(tensors)
    for name, array in tensors.items():
        assert_array_equal(arrays[name], array, strict=True)
    use(Guard.load(tmp_path / "small.simdnn"))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    header, tensors = content(tmp_path)
    assert {guard_file.encode(header, tensors) for _ in range(20)} == {
        (tmp_path / "small.simdnn").read_bytes()
    }


@pytest.mark.parametrize(
    "text", ["0" * 64, f'"digest": "{"0" * 64}"', f'\\"digest\\": \\"{"0" * 64}\\"', "\ud800 caf\xe9 \0"]
)
def test_no_name_is_taken_for_the_digest(tmp_path: Path, text: str) -> None:
    header, tensors = content(tmp_path)
    header["training"]["data"] = header["digest"] = text
    header = {text: text} | header
    assert guard_file.decode(guard_file.encode(header, tensors), "x")[0] == header


def test_it_is_a_safetensors_file(raw: bytes) -> None:
    """Anybody's tools can read the numbers."""
    tensors = safetensors.numpy.load(raw)
    assert tensors["class_means"].shape == (2, 3)
    assert tensors["class_counts"].tolist() == [10, 10]


def test_every_altered_byte_is_noticed(raw: bytes) -> None:
    """Every byte of the header, every third of the rest."""
    end = 8 + int.from_bytes(raw[:8], "little")
    said = set()
    for place in (*range(end), *range(end, len(raw), 3), len(raw) - 1):
        for bit in (place % 8, (place + 3) % 8):
            altered = bytearray(raw)
            altered[place] ^= 1 << bit
            with pytest.raises(ModelFileError, match=r"^g\.simdnn ") as caught:
                guard_file.decode(bytes(altered), "g.simdnn")
            said.add(re.sub(r"\d+", "N", str(caught.value)))
    newer = "g.simdnn was written by a newer version: protocol N, this version reads N; update simdnn"
    truncated = "g.simdnn is truncated, or no guard file: N bytes"
    assert said <= {f"g.simdnn {ALTERED}", f"g.simdnn {NO_GUARD}", truncated, newer}


def test_every_truncation_is_noticed(raw: bytes) -> None:
    end = 8 + int.from_bytes(raw[:8], "little")
    for length in (
        *range(12),
        *range(12, end, 5),
        end - 1,
        end,
        end + 1,
        *range(end, len(raw), 101),
        len(raw) - 1,
    ):
        with pytest.raises(ModelFileError, match=r"^g\.simdnn is (truncated|no guard file)"):
            guard_file.decode(raw[:length], "g.simdnn")
    with pytest.raises(ModelFileError, match=ALTERED):
        guard_file.decode(raw + b"\0", "g.simdnn")


def test_a_newer_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, tensors = content(tmp_path)
    monkeypatch.setattr(guard_file, "PROTOCOL", 4)
    raw = guard_file.encode(header, tensors)
    monkeypatch.undo()
    with pytest.raises(
        ModelFileError,
        match=r"^g was written by a newer version: protocol 4, this version reads 3; update simdnn$",
    ):
        guard_file.decode(raw, "g")


def test_an_older_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, tensors = content(tmp_path)
    monkeypatch.setattr(guard_file, "PROTOCOL", 1)
    raw = guard_file.encode(header, tensors)
    monkeypatch.undo()
    with pytest.raises(
        ModelFileError,
        match=r"^g was written by an older version: protocol 1, this version reads 3; fit it again$",
    ):
        guard_file.decode(raw, "g")


def other_safetensors() -> bytes:
    raw: bytes = safetensors.numpy.save({"weight": np.zeros(3)}, {"format": "pt"})
    return raw


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is truncated, or no guard file: 0 bytes"),
        (b"short", "is truncated, or no guard file: 5 bytes"),
        (b"a text that is longer than a header's length\n", "is truncated, or no guard file: 45 bytes"),
        (other_safetensors(), NO_GUARD),
        (pickle.dumps({"a": [1] * 100}), "is truncated, or no guard file"),
        (b"\x02\0\0\0\0\0\0\0{}", NO_GUARD),
        (b"\x02\0\0\0\0\0\0\0[]", NO_GUARD),
        (b"\x04\0\0\0\0\0\0\0null", NO_GUARD),
        (b"\x88\x13\0\0\0\0\0\0" + b"[" * 5000, NO_GUARD),
        (b"\x88\x13\0\0\0\0\0\0" + b"1" * 5000, NO_GUARD),
        (b"\x10\0\0\0\0\0\0\0" + b"\xff" * 16, NO_GUARD),
    ],
)
def test_what_is_no_guard(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match=rf"^{path} {said}"):
        Guard.load(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match=rf"^cannot read the guard {tmp_path}/none: No such file or directory$"
    ):
        Guard.load(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(
            ModelFileError, match=rf"^expected a guard file .*, got {path}, which is no file$"
        ):
            Guard.load(path)


def test_nested_metadata_without_end(raw: bytes) -> None:
    deep = json.dumps({"__metadata__": {"simdnn": "[" * 100_000}}).encode()
    with pytest.raises(ModelFileError, match=NO_GUARD):
        guard_file.decode(len(deep).to_bytes(8, "little") + deep, "g")


def test_only_the_owner_may_read_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "g.simdnn"
    small_guard().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_two_edits_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "g.simdnn"
    small_guard().save(path)
    order: list[str] = []

    def second() -> None:
        with guard_file.locked(path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with guard_file.locked(path):
        waiting.start()
        with (
            pytest.raises(
                ModelFileError, match=r"another process has been editing .*g\.simdnn for 0 seconds"
            ),
            guard_file.locked(path, patience=0),
        ):
            order.append("never")
        small_guard().save(path)  # another file has the name now
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    missing = r"^cannot read the guard .*none: No such file or directory$"
    with pytest.raises(ModelFileError, match=missing), guard_file.locked(tmp_path / "none"):
        order.append("never")


def test_an_interrupted_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.simdnn"
    path.write_bytes(b"old")

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        small_guard().save(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=rf"^cannot write {path}: No space left on device$"):
        small_guard().save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/g.simdnn: No such file or directory"):
        small_guard().save(tmp_path / "nowhere" / "g.simdnn")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*folder: Is a directory"):
        small_guard().save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("g.simdnn")
    guard = small_guard()
    guard.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert sha256((tmp_path / "g.simdnn").read_bytes()).hexdigest().startswith(guard.model_id)
