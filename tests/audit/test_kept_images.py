"""The images themselves, under the hash of their content."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError
from simdnn.guard.verdict import Verdict

DIGEST = sha256(b"picture").hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"


def test_an_image_is_kept_once_and_comes_back(tmp_path: Path, folder: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        numbers = store.record_all([(attack, b"picture")] * 2, model_id="m")
        assert [store.image(store.get(number)) for number in numbers] == [b"picture"] * 2
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert files == [Path(DIGEST[:2], DIGEST)]


def test_without_a_folder_only_the_hash_is_kept(tmp_path: Path, folder: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db") as store:
        record = store.get(store.record(attack, model_id="m", image=b"picture"))
        assert record.image_sha256 == DIGEST
        assert record.image_kept is False
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        assert store.image(record) is None


def test_an_image_that_has_gone_is_said_to_have(tmp_path: Path, folder: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        record = store.get(store.record(attack, model_id="m", image=b"picture"))
        (folder / DIGEST[:2] / DIGEST).unlink()
        with pytest.raises(
            AuditError, match=rf"^the image {DIGEST[:16]}\.\.\. is not in .*images: No such file"
        ):
            store.image(record)


def test_an_altered_image_is_refused(tmp_path: Path, folder: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        record = store.get(store.record(attack, model_id="m", image=b"picture"))
        (folder / DIGEST[:2] / DIGEST).write_bytes(b"another")
        with pytest.raises(AuditError, match=r"was altered: its content does not match its name$"):
            store.image(record)


def test_where_the_image_cannot_be_kept_nothing_is_recorded(
    tmp_path: Path, folder: Path, attack: Verdict
) -> None:
    folder.write_text("a file where the folder should be")
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        with pytest.raises(AuditError, match=r"^cannot keep an image in .*images: "):
            store.record(attack, model_id="m", image=b"picture")
        assert store.records() == []
