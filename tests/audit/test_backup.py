"""A backup comes back whole, on either engine, and a damaged one does not come back at all."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.stores import new_database

from simdnn.audit.backup import back_up, restore
from simdnn.audit.records import Origin
from simdnn.audit.retention import Limits, retain
from simdnn.audit.shadow import ShadowLog
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError, InputError
from simdnn.guard.verdict import Verdict

Simdnn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def filled(target: str, tmp_path: Path, attack: Verdict) -> str:
    """A store with everything in it: labels, an undo, what retention left, images and a shadow's verdict."""
    with AuditStore.open(target, images=tmp_path / "images") as store:
        for number in range(6):
            verdict = replace(attack, path=f"{number}.png")
            origin = Origin("one", f"r{number}")
            store.record(verdict, model_id="m", image=b"image %d" % number, origin=origin)
        store.label(2, "attack", by="ann", note="köpek")
        store.undo(1)
        store.bulk_label("clean", since=datetime(2020, 1, 1, tzinfo=UTC), up_to=3)
        retain(store, Limits(count=4))
        both: dict[str, object] = {"path": "a", "image_sha256": None, "score": 0.5, "p_value": None}
        both |= {"shadow_score": 0.1, "shadow_p_value": None, "time": datetime.now(UTC)}
        both |= {"model_id": "m", "verdict": "clean", "shadow_id": "n", "shadow_verdict": "attack"}
        ShadowLog(store).add([both])
    return target


@pytest.fixture
def backup(filled: str, tmp_path: Path) -> Path:
    """A backup of it."""
    path = tmp_path / "backup.zip"
    with (
        AuditStore.open(filled, images=tmp_path / "images", read_only=True) as store,
        path.open("wb") as file,
    ):
        done = back_up(store, file)
    assert done.rows == {"action": 4, "record": 4, "label": 5, "shadow_check": 1}
    assert (done.images, done.missing) == (4, ())
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Another, empty store of either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "other.db")
    return new_database(request.getfixturevalue("server"))


def test_all_comes_back_on_either_engine(filled: str, backup: Path, other: str, tmp_path: Path) -> None:
    with (
        AuditStore.open(filled) as before,
        AuditStore.open(other, images=tmp_path / "restored") as store,
    ):
        done = restore(backup, store)
        assert done.rows == {"action": 4, "record": 4, "label": 5, "shadow_check": 1}
        assert store.records() == before.records()
        assert store.actions() == before.actions()
        assert store.labels(2) == before.labels(2)
        assert store.heads() == before.heads()
        assert list(store.verify()) == []
        assert store.image(store.records()[0]) == b"image 5"
        assert ShadowLog(store).disagreements() == ShadowLog(before).disagreements()
        number = store.record(Verdict("new.png", "clean"), model_id="m")  # and it goes on
        assert number == 7
        store.label(number, "clean")
        both = vars(ShadowLog(before).disagreements()[0]).copy()
        del both["id"]
        ShadowLog(store).add([both])
        assert [one.id for one in ShadowLog(store).disagreements()] == [2, 1]
        assert list(store.verify()) == []


def test_only_an_empty_store_takes_one(filled: str, backup: Path) -> None:
    with AuditStore.open(filled) as store:
        before = store.heads()
        expected = r"^expected an empty store to restore into, got one with records or actions$"
        with pytest.raises(AuditError, match=expected):
            restore(backup, store)
        assert store.heads() == before


def _changed(backup: Path, name: str, change: Callable[[str], str]) -> Path:
    changed = io.BytesIO()
    with zipfile.ZipFile(backup) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, change(content.decode()).encode() if member == name else content)
    path = backup.with_name("changed.zip")
    path.write_bytes(changed.getvalue())
    return path


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("record.jsonl", '"path": "5.png"', '"path": "6.png"', "record 6 was altered; nothing was restored$"),
        ("label.jsonl", "köpek", "kopek", "label 1 .* was altered; nothing was restored$"),
        ("store.json", '"revision": "', '"revision": "x', "has schema revision x"),
        ("record.jsonl", '"verdict"', '"verdikt"', "^the audit store .* failed: .*verdict"),
        ("record.jsonl", "{", "{{", "^expected a backup that `simdnn audit STORE backup` wrote"),
    ],
)  # fmt: skip
def test_a_changed_backup_is_refused(
    backup: Path, tmp_path: Path, name: str, old: str, new: str, said: str
) -> None:
    def change(content: str) -> str:
        escaped = json.dumps(old)[1:-1] if not old.isascii() else old
        assert escaped in content
        return content.replace(escaped, new)

    with AuditStore.open(tmp_path / "other.db") as store:
        with pytest.raises((InputError, AuditError), match=said):
            restore(_changed(backup, name, change), store)
        assert (store.count(), store.actions()) == (0, [])
        assert list(store.verify()) == []


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    path.write_bytes(b"no zip")
    with AuditStore.open(tmp_path / "other.db") as store:
        with pytest.raises(
            InputError, match=r"^expected a backup that .* wrote, got .*backup\.zip: File is not a zip"
        ):
            restore(path, store)  # fmt: skip
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "b")
        with pytest.raises(InputError, match=r"^expected a backup that .* wrote"):
            restore(path, store)


def test_the_commands(filled: str, tmp_path: Path, simdnn: Simdnn) -> None:
    path, images = tmp_path / "backup.zip", tmp_path / "images"
    rows = "4 actions, 4 records, 1 shadow_check, 5 labels"
    wrote = f"wrote {rows} and 4 images to {path}\n"
    assert simdnn("audit", filled, "backup", "-o", path, "--images", images) == (0, wrote, "")
    other, back = tmp_path / "other.db", tmp_path / "restored"
    restored = f"restored {rows} and 4 images; the chains verify\n"
    assert simdnn("audit", other, "restore", path, "--images", back) == (0, restored, "")
    assert simdnn("audit", other, "verify", "--images", back)[0] == 0
    said = f"error: there is no backup {tmp_path / 'none.zip'}\n"
    assert simdnn("audit", other, "restore", tmp_path / "none.zip") == (2, "", said)


def test_a_missing_image_is_said(filled: str, tmp_path: Path, simdnn: Simdnn) -> None:
    next(path for path in (tmp_path / "images").rglob("*") if path.is_file()).unlink()
    path = tmp_path / "backup.zip"
    code, out, err = simdnn("audit", filled, "backup", "-o", path, "--images", tmp_path / "images")
    assert code == 1
    assert "and 3 images" in out
    assert err.endswith("is missing or was altered, and is not in it\n")
