"""The images themselves, under the hash of their content."""

from __future__ import annotations

import stat
from dataclasses import dataclass
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


def test_a_damaged_copy_is_written_anew(tmp_path: Path, folder: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        record = store.get(store.record(attack, model_id="m", image=b"picture"))
        (folder / DIGEST[:2] / DIGEST).write_bytes(b"pict")
        store.record(attack, model_id="m", image=b"picture")
        assert store.image(record) == b"picture"


def test_the_image_that_was_judged_is_recorded_and_no_other(tmp_path: Path, folder: Path) -> None:
    @dataclass(frozen=True)
    class Judged(Verdict):
        image_sha256: str | None = None

    verdict = Judged("a.png", "attack", image_sha256=DIGEST)
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        without, kept = (
            store.get(store.record(verdict, model_id="m", image=image)) for image in (None, b"picture")
        )
        assert (without.image_sha256, without.image_kept) == (DIGEST, False)
        assert (kept.image_sha256, kept.image_kept) == (DIGEST, True)
        assert store.image(without) is None
        swapped = sha256(b"swapped").hexdigest()
        expected = (
            rf"^expected the image that was checked, whose hash is {DIGEST}; got one with the hash {swapped}$"
        )
        with pytest.raises(AuditError, match=expected):
            store.record(verdict, model_id="m", image=b"swapped")
        assert store.count() == 2
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [DIGEST]


def test_only_the_owner_may_read_what_is_kept(tmp_path: Path, folder: Path, attack: Verdict) -> None:
    with AuditStore.open(tmp_path / "audit.db", images=folder) as store:
        store.record(attack, model_id="m", image=b"picture")
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in (*tmp_path.glob("audit.db*"), folder, *folder.rglob("*"))
        }
    assert modes == {
        "audit.db": 0o600,
        "audit.db-wal": 0o600,
        "audit.db-shm": 0o600,
        "images": 0o700,
        DIGEST[:2]: 0o700,
        DIGEST: 0o600,
    }
