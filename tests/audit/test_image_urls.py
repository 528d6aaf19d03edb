"""Images at a URL that fsspec knows, as in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from simdnn.audit.images import ImageFolder, open_images
from simdnn.audit.retention import Limits, retain
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

DIGEST = sha256(b"picture").hexdigest()


@pytest.fixture
def url() -> Iterator[str]:
    """A bucket in memory, as another machine's."""
    name = f"/{uuid4().hex}"
    yield f"memory:/{name}/audit/"
    memory = fsspec.filesystem("memory")
    if memory.exists(name):
        memory.rm(name, recursive=True)


def test_images_go_there_and_come_back(url: str, target: str, attack: Verdict) -> None:
    with AuditStore.open(target, images=url) as store:
        record = store.get(store.record(attack, model_id="m", image=b"picture"))
        store.record(attack, model_id="m", image=b"picture")
        assert store.image(record) == b"picture"
        assert list(store.verify()) == []
        memory = fsspec.filesystem("memory")
        (path,) = memory.find(url)
        assert path.endswith(f"/audit/{DIGEST[:2]}/{DIGEST}")
        memory.pipe_file(path, b"another")
        (first, second) = store.verify()
        assert first == f"record 1: {path} was altered: its content does not match its name"
        assert second.startswith("record 2: ")
        store.record(attack, model_id="m", image=b"picture")  # a damaged copy is written anew
        assert store.image(record) == b"picture"
        assert retain(store, Limits(count=0)).images == 1
        assert memory.find(url) == []
        with pytest.raises(AuditError, match=rf"^the image {DIGEST[:16]}\.\.\. is not in memory:"):
            store.image(record)


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    images = open_images(f"file://{tmp_path}/images")
    assert isinstance(images, ImageFolder)
    assert images.put(b"picture") == DIGEST
    assert (tmp_path / "images" / DIGEST[:2] / DIGEST).stat().st_mode & 0o777 == 0o600
    images.remove(DIGEST)
    images.remove(DIGEST)
    assert not images.has(DIGEST)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"^cannot keep images at nosuch://: Protocol not known: nosuch"):
        AuditStore.open(tmp_path / "audit.db", images="nosuch://user:hunter2@bucket")
    assert not (tmp_path / "audit.db").exists()


class OfABackEndError(Exception):
    """What a back end raises that knows nothing of Python's errors of files."""


def test_whatever_a_back_end_raises_is_an_error_of_the_store(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> object:
        raise OfABackEndError("no\nsuch region")

    images = open_images(url)
    images.put(b"picture")
    with monkeypatch.context() as broken:
        for name in ("exists", "cat_file", "pipe_file", "rm_file"):
            broken.setattr(fsspec.get_filesystem_class("memory"), name, fails)
        with pytest.raises(AuditError, match=r"^cannot keep an image in memory:.*: no such region$"):
            images.put(b"picture")
        with pytest.raises(AuditError, match=r"cannot be read from memory:.*: no such region$"):
            images.get(DIGEST)
        with pytest.raises(AuditError, match=r"^cannot remove .*: no such region$"):
            images.remove(DIGEST)
        with pytest.raises(AuditError, match=r"^cannot look for an image in memory:.*: no such region$"):
            images.has(DIGEST)
        broken.setattr(fsspec.core, "url_to_fs", fails)
        with pytest.raises(AuditError, match=r"^cannot keep images at memory://: no such region$"):
            open_images(url)
    assert images.get(DIGEST) == b"picture"
