"""What people do is kept, one by one or many at once, and what is taken back is kept, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from simdnn.audit.store import AuditStore
from simdnn.errors import AuditError, InputError, UnknownRecordError
from simdnn.guard.verdict import Verdict

Simdnn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store_of_six(target: str, attack: Verdict) -> str:
    """A store with six flagged records, three of a cat and three of a dog."""
    with AuditStore.open(target) as store:
        verdicts = [replace(attack, label=label, classifier_label=label) for label in ("cat", "dog")]
        store.record_all([(verdict, None) for verdict in verdicts * 3], model_id="m")
    return target


def test_each_label_is_an_action_with_what_was_before(store_of_six: str) -> None:
    with AuditStore.open(store_of_six) as store:
        store.label(2, "attack", by="ann", note="sticker")
        store.label(2, "unsure", by="bob", human_class="wolf")
        store.label(2, None, by="bob", note="asked the driver")
        assert [
            (one.id, one.who, one.what, one.target, one.before, one.after) for one in store.actions()
        ] == [
            (
                3,
                "bob",
                "note",
                "record 2",
                {"human_label": "unsure", "human_class": "wolf"},
                {"human_label": "unsure", "human_class": "wolf", "note": "asked the driver"},
            ),
            (
                2,
                "bob",
                "label",
                "record 2",
                {"human_label": "attack", "note": "sticker"},
                {"human_label": "unsure", "human_class": "wolf"},
            ),
            (1, "ann", "label", "record 2", None, {"human_label": "attack", "note": "sticker"}),
        ]
        assert [said.action_id for said in store.labels(2)] == [1, 2, 3]
        assert store.get(2).human_label == "unsure"
        assert [one.id for one in store.actions(what=["note"])] == [3]
        assert [one.id for one in store.actions(target="record 2", before=3, limit=1)] == [2]
        assert store.actions(target="record 1") == []
        assert list(store.verify()) == []
        with pytest.raises(InputError, match=r"^expected a label or a note; got neither$"):
            store.label(2, None)


def test_a_note_without_a_label_leaves_the_record_unlabelled(store_of_six: str) -> None:
    with AuditStore.open(store_of_six) as store:
        assert store.label(1, None, note="odd").note == "odd"
        assert store.count(unlabelled=True) == 6
        assert list(store.verify()) == []


def test_what_is_undone_is_as_it_was_before(store_of_six: str) -> None:
    with AuditStore.open(store_of_six) as store:
        store.label(1, "attack", by="ann", note="sticker", human_class="wolf")
        store.label(1, "clean", by="bob")
        assert store.last_labelling(1, by="ann") is None
        last = store.last_labelling(1, by="bob")
        assert last == 2
        assert store.undo(last, by="bob") == (3, 1)
        back = store.get(1)
        assert (back.human_label, back.note, back.human_class) == ("attack", "sticker", "wolf")
        assert back.labelled_by == "bob"
        assert store.count(label="attack") == 1
        assert store.last_labelling(1) is None  # an undo is not undone
        with pytest.raises(InputError, match=r"^action 2 was undone already$"):
            store.undo(2)
        with pytest.raises(InputError, match=r"^action 3 is 'undo', which cannot be undone"):
            store.undo(3)
        with pytest.raises(UnknownRecordError, match=r"^there is no action 9 in the audit store$"):
            store.undo(9)
        store.label(2, "clean")
        store.undo(4)
        assert store.get(2).human_label is None
        assert [said.human_label for said in store.labels(2)] == ["clean", None]
        assert store.last_labelling(3) is None
        assert list(store.verify()) == []


def test_many_are_labelled_at_once_and_taken_back(store_of_six: str) -> None:
    with AuditStore.open(store_of_six) as store:
        store.label(1, "clean", by="ann", note="mine")
        store.label(3, "attack", by="ann")
        shown = store.count(class_name="cat", up_to=6)
        store.record(Verdict("later.png", "attack", label="cat"), model_id="m")
        action, number = store.bulk_label(
            "attack", expected=shown, by="bob", note="same camera", class_name="cat", up_to=6
        )
        assert (shown, number) == (3, 2)  # one is labelled so already
        assert [store.get(n).human_label for n in range(1, 8)] == [
            "attack", None, "attack", None, "attack", None, None
        ]  # fmt: skip
        assert store.get(5).note == "same camera"
        (done,) = store.actions(what=["bulk label"])
        assert (done.id, done.who, done.target) == (action, "bob", "2 records")
        assert done.before == {
            "selection": {"class_name": "cat", "up_to": 6},
            "labels": {"clean": 1, "attack": 1, "none": 1},
        }
        assert done.after == {
            "human_label": "attack",
            "note": "same camera",
            "records": [[1, 1], [5, 5]],
        }
        store.label(5, "unsure", by="ann")  # since: the undo leaves it
        assert store.undo(action, by="bob") == (done.id + 2, 1)
        assert (store.get(1).human_label, store.get(1).note) == ("clean", "mine")
        assert store.get(5).human_label == "unsure"
        assert store.actions()[0].what == "bulk undo"
        assert list(store.verify()) == []


def test_another_number_than_was_shown_labels_nothing(store_of_six: str) -> None:
    with AuditStore.open(store_of_six) as store:
        expected = r"^expected 5 matching records, as was shown; now 6 match: look again$"
        with pytest.raises(InputError, match=expected):
            store.bulk_label("clean", expected=5)
        with pytest.raises(AuditError, match=r"^expected the label attack or clean or unsure; got 'dog'$"):
            store.bulk_label("dog")
        assert store.count(unlabelled=True) == 6
        assert store.actions() == []


def test_more_than_a_statement_takes(target: str, attack: Verdict) -> None:
    with AuditStore.open(target) as store:
        store.record_all([(attack, None)] * 2300, model_id="m")
        action, number = store.bulk_label("clean", by="ann")
        assert (number, store.count(label="clean")) == (2300, 2300)
        assert store.undo(action) == (action + 1, 2300)
        assert store.count(unlabelled=True) == 2300
        assert list(store.verify()) == []


def test_anything_else_that_people_do(store_of_six: str) -> None:
    with AuditStore.open(store_of_six) as store:
        number = store.act("ann", "prototype removed", "dog/4", {"label": "dog"})
        assert store.act(None, "guard changed", "guard.simdnn", "a", "b\0\udce9") == number + 1
        last, first = store.actions()
        assert (first.who, first.before, first.after) == ("ann", {"label": "dog"}, None)
        assert (last.who, last.before, last.after) == (None, "a", r"b\x00\udce9")
        assert list(store.verify()) == []


def test_the_commands(store_of_six: str, simdnn: Simdnn) -> None:
    assert simdnn("audit", store_of_six, "label", 1, "unsure", "--by", "ann")[0] == 0
    code, out, err = simdnn("audit", store_of_six, "actions")
    assert (code, err) == (0, "")
    assert out.endswith('label, record 1 by ann: none -> {"human_label": "unsure"}\n')
    assert json.loads(simdnn("audit", store_of_six, "actions", "--json")[1])["what"] == "label"
    assert simdnn("audit", store_of_six, "undo", 1, "--by", "bob") == (
        0,
        "1 record has the label from before\n",
        "",
    )
    assert simdnn("audit", store_of_six, "undo", 1) == (2, "", "error: action 1 was undone already\n")
