"""Old records go with their images; what people said stays, and the chain can still be verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from simdnn.audit.engine import connect
from simdnn.audit.retention import Limits, Retained, retain
from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError, InputError
from simdnn.guard.verdict import Verdict

Simdnn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Where images are kept."""
    return tmp_path / "images"


@pytest.fixture
def store_of_ten(target: str, images: Path, attack: Verdict) -> str:
    """A store with ten records of images of ten bytes; 3 is labelled, 5 has a note, 6 was labelled and undone."""
    with AuditStore.open(target, images=images) as store:
        for number in range(1, 11):
            verdict = replace(attack, path=f"{number}.png")
            store.record(verdict, model_id="m", image=f"image {number:04}".encode())
        store.label(3, "attack", by="ann")
        store.label(5, None, by="ann", note="odd")
        store.label(6, "clean")
        store.undo(3)
    return target


def _kept(images: Path) -> int:
    return len([path for path in images.rglob("*") if path.is_file()])


def test_by_count(store_of_ten: str, images: Path) -> None:
    with AuditStore.open(store_of_ten, images=images) as store:
        would = retain(store, Limits(count=5), dry_run=True)
        assert would == Retained(removed=5, kept=5, labelled=3, images=5, image_bytes=50)
        assert (store.count(), _kept(images)) == (10, 10)
        assert retain(store, Limits(count=5), by="bob") == would
        assert [record.id for record in store.records()] == [10, 9, 6, 5, 3]
        assert _kept(images) == 5
        action = store.actions(limit=1)[0]
        assert (action.who, action.what, action.target) == ("bob", "retain", "5 records")
        assert action.before == {"records": 5}
        assert [run[:2] for run in action.after["removed"]] == [[1, 2], [4, 4], [7, 8]]
        assert list(store.verify()) == []
        assert store.record(Verdict("new.png", "clean"), model_id="m") == 11
        assert retain(store, Limits(count=0)).removed == 3
        assert [record.id for record in store.records()] == [6, 5, 3]
        assert list(store.verify()) == []


def test_by_bytes_of_images_each_counted_once(store_of_ten: str, images: Path, attack: Verdict) -> None:
    with AuditStore.open(store_of_ten, images=images) as store:
        store.record(attack, model_id="m", image=b"image 0010")  # as the one before
        store.record(Verdict("pixels", "attack"), model_id="m")  # has no image
        done = retain(store, Limits(image_bytes=55))
        assert [record.id for record in store.records()] == [12, 11, 10, 9, 6, 5, 3]
        assert (done.removed, done.image_bytes, _kept(images)) == (5, 50, 5)
        assert list(store.verify()) == []


def test_by_age(store_of_ten: str, images: Path) -> None:
    engine = connect(store_of_ten)
    old = datetime.now(UTC) - timedelta(days=100)
    with engine.begin() as connection:
        written = old if engine.dialect.name == "postgresql" else f"{old:%Y-%m-%d %H:%M:%S.%f}"
        connection.execute(text("UPDATE record SET time = :old WHERE id <= 8"), {"old": written})
    engine.dispose()
    with AuditStore.open(store_of_ten, images=images) as store:
        assert retain(store, Limits(age=timedelta(days=101))).removed == 0
        assert store.actions(what=["retain"]) == []
        assert retain(store, Limits(age=timedelta(days=99))).removed == 5
        assert [record.id for record in store.records()] == [10, 9, 6, 5, 3]


def test_an_image_that_another_record_needs_stays(store_of_ten: str, images: Path, attack: Verdict) -> None:
    with AuditStore.open(store_of_ten, images=images) as store:
        number = store.record(attack, model_id="m", image=b"image 0001")
        done = retain(store, Limits(count=4))
        assert [record.id for record in store.records()] == [number, 6, 5, 3]
        assert (done.removed, done.images) == (7, 6)
        assert store.image(store.get(number)) == b"image 0001"
        assert list(store.verify()) == []


def test_nothing_but_what_retention_removed_may_be_missing(store_of_ten: str, images: Path) -> None:
    with AuditStore.open(store_of_ten, images=images) as store:
        retain(store, Limits(count=5))
    engine = connect(store_of_ten)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM record WHERE id >= 9"))
    engine.dispose()
    with AuditStore.open(store_of_ten) as store:
        assert list(store.verify()) == ["records 9 to 10 are missing"]
    engine = connect(store_of_ten)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM action WHERE what = 'retain'"))
    engine.dispose()
    with AuditStore.open(store_of_ten) as store:
        assert list(store.verify()) == [
            "records 1 to 2 are missing",
            "record 4 is missing",
            "records 7 to 10 are missing",
            "action 5 is missing",
        ]


def test_a_record_that_comes_back_in_the_place_of_a_removed_one_is_found(
    store_of_ten: str, images: Path
) -> None:
    with AuditStore.open(store_of_ten, images=images) as store:
        retain(store, Limits(count=5))
    engine = connect(store_of_ten)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO record (id, time, model_id, path, verdict, evidence, chain) "
                "VALUES (7, '2020-01-01 00:00:00+00:00', 'm', 'x', 'clean', '[]', 'ab')"
            )
        )
    engine.dispose()
    with AuditStore.open(store_of_ten) as store:
        assert "record 7 was altered" in list(store.verify())


def test_an_image_recorded_again_while_its_record_goes_is_there(
    store_of_ten: str, images: Path, attack: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention removes the file after the image was put and before the record that needs it is there."""
    with AuditStore.open(store_of_ten, images=images) as store:
        append = store._append

        def slow(*arguments: object) -> list[int]:
            digest = sha256(b"image 0001").hexdigest()
            (images / digest[:2] / digest).unlink()
            return append(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "_append", slow)
        number = store.record(attack, model_id="m", image=b"image 0001")
        assert store.image(store.get(number)) == b"image 0001"


def test_the_command(store_of_ten: str, images: Path, simdnn: Simdnn) -> None:
    said = "5 records and 5 images (50 bytes); 5 records stay, 3 of them with labels or notes\n"
    command = ("audit", store_of_ten, "retain", "--count", 5, "--images", images)
    assert simdnn(*command, "--dry-run") == (0, f"would remove {said}", "")
    assert simdnn(*command) == (0, f"removed {said}", "")
    assert simdnn("audit", store_of_ten, "verify", "--images", images)[0] == 0
    assert simdnn("audit", store_of_ten, "retain", "--age", "90d", "--bytes", "1.5GB")[0] == 0


def test_images_are_not_left_behind_by_mistake(
    store_of_ten: str, images: Path, tmp_path: Path, simdnn: Simdnn
) -> None:
    command = ("audit", store_of_ten, "retain", "--count", 5)
    for more in ((), ("--dry-run",)):
        status, out, err = simdnn(*command, *more)
        assert (status, out) == (2, "")
        assert "5 images of the records that would go were kept, and nothing else says which they are" in err
        assert (
            "say with --images where they are, so that they go, too, or leave them there with --keep-im"
            in err
        )
    status, out, err = simdnn(*command, "--images", tmp_path / "imagse")
    assert (status, out) == (2, "")
    assert f"in {tmp_path / 'imagse'}, found none of 5; check --images" in err
    status, _, err = simdnn(*command, "--images", images, "--keep-images")
    assert (status, err) == (2, "error: expected --images or --keep-images, got both; leave one out\n")
    with AuditStore.open(store_of_ten) as store:
        assert store.count() == 10
    assert simdnn(*command, "--keep-images") == (
        0,
        "removed 5 records and 0 images (0 bytes); 5 records stay, 3 of them with labels or notes\n",
        "images that stay, though no record names them any more: 5\n",
    )
    assert _kept(images) == 10


def test_records_stay_until_their_images_are_gone(
    store_of_ten: str, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AuditStore.open(store_of_ten, images=images) as store:
        assert store.images is not None
        remove, removed = store.images.remove, list[str]()

        def fails(digest: str) -> None:
            if len(removed) == 2:
                raise AuditError("cannot remove it: Permission denied")
            removed.append(digest)
            remove(digest)

        with monkeypatch.context() as patch:
            patch.setattr(store.images, "remove", fails)
            with pytest.raises(AuditError, match="Permission denied"):
                retain(store, Limits(count=5))
        assert (store.count(), _kept(images)) == (10, 8)
        done = retain(store, Limits(count=5))
        assert (done.removed, done.images, done.missing) == (5, 3, 2)
        assert (store.count(), _kept(images)) == (5, 5)
        assert list(store.verify()) == []


def test_only_images_that_were_there_count_as_removed(
    store_of_ten: str, images: Path, simdnn: Simdnn
) -> None:
    digest = sha256(b"image 0001").hexdigest()
    (images / digest[:2] / digest).unlink()
    command = ("audit", store_of_ten, "retain", "--count", 5, "--images", images)
    said = "5 records and 4 images (40 bytes); 5 records stay, 3 of them with labels or notes\n"
    missing = f"images that were not in {images}: 1\n"
    assert simdnn(*command, "--dry-run") == (0, f"would remove {said}", missing)
    assert simdnn(*command) == (0, f"removed {said}", missing)
    assert _kept(images) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "expected an age, a number of records or of bytes to retain; got none"),
        (("--age", "90"), "--age takes a number with a unit, one of 90h, 90d, 90w, 90y; got '90'"),
        (("--age", "999999999999y"), "--age takes 1000y at most; got '999999999999y'"),
        (("--age", "1001y"), "--age takes 1000y at most; got '1001y'"),
        (("--bytes", "big"), "--bytes takes a number with a unit, one of 90, 90kB, 90MB, 90GB, 90TB; got 'big'"),
    ],
)  # fmt: skip
def test_mistakes(store_of_ten: str, options: tuple[str, ...], said: str, simdnn: Simdnn) -> None:
    assert simdnn("audit", store_of_ten, "retain", *options) == (2, "", f"error: {said}\n")
    with pytest.raises(InputError, match=r"^expected limits of 0 or more; got a negative one$"):
        Limits(count=-1)
    with pytest.raises(InputError, match=r"^expected an age of 1000 years at most; got 1001 years$"):
        Limits(age=timedelta(days=365 * 1001))
