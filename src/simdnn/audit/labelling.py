"""Labels that people give records, one by one or many at once, and how they are taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Unpack

from sqlalchemy import Connection, func, select, update

from simdnn.audit import query
from simdnn.audit.chunks import chunks
from simdnn.audit.ledger import Ledger
from simdnn.audit.records import HUMAN_LABELS, AuditRecord, HumanLabel
from simdnn.audit.schema import Action, Label, Record
from simdnn.errors import InputError, UnknownRecordError

LABEL, NOTE, BULK, UNDO, BULK_UNDO = "label", "note", "bulk label", "undo", "bulk undo"
_SAID = ("human_label", "human_class", "note")


class Labels(Ledger):
    """The labels of a store. Rows are only ever added: taking a label back adds a row that says so."""

    def get(self, record_id: int) -> AuditRecord:
        """Return one record by its number; UnknownRecordError if there is none."""
        with self._reading() as connection:
            return query.from_row(self._rows(connection, [record_id])[0])

    def label(
        self,
        record_id: int,
        human_label: str | None,
        *,
        by: str | None = None,
        human_class: str | None = None,
        note: str | None = None,
    ) -> AuditRecord:
        """Add a human label to a record; return the record.

        Earlier labels stay in the store; :meth:`labels` returns them. :meth:`last_labelling` and :meth:`undo` take it
        back.

        Parameters
        ----------
        record_id : number of the record
        human_label : one of :data:`simdnn.audit.records.HUMAN_LABELS`; None for a note alone, which leaves the label
        by, human_class, note : as ``labelled_by``, ``human_class`` and ``note`` of
            :class:`simdnn.audit.records.HumanLabel`

        Raises
        ------
        AuditError
            If there is no such record or label.
        """
        query.expect("label", human_label, HUMAN_LABELS)
        if human_label is None and not note:
            raise InputError("expected a label or a note; got neither")
        with self._writing() as connection:
            self._lock(connection, Action)
            (row,) = self._rows(connection, [record_id])
            before = {name: row[name] for name in _SAID}
            after = {"human_label": human_label, "human_class": human_class, "note": note}
            if human_label is None:
                after |= {"human_label": before["human_label"], "human_class": before["human_class"]}
            what = LABEL if human_label else NOTE
            action = self._act(connection, by, what, f"record {record_id}", _plain(before), _plain(after))
            self._say(connection, action, by, [(record_id, after)])
        return self.get(record_id)

    def bulk_label(
        self,
        human_label: str,
        *,
        expected: int | None = None,
        by: str | None = None,
        note: str | None = None,
        **only: Unpack[query.Selection],
    ) -> tuple[int, int]:
        """Label all records of a selection; return the number of the action, for :meth:`undo`, and of the records.

        Records on which this label stands already are left as they are.

        Parameters
        ----------
        human_label, by, note : as for :meth:`label`
        expected : how many records the person was shown to match; give ``up_to`` with it
        **only : as in :class:`simdnn.audit.query.Selection`

        Raises
        ------
        AuditError
            If there is no such label, verdict or record.
        InputError
            If another number of records matches than was expected; nothing is labelled then.
        """
        query.expect("label", human_label, HUMAN_LABELS)
        with self._writing() as connection:
            self._lock(connection, Action)
            standing: Any = select(Record.id, Record.standing)
            found = connection.execute(query.narrowed(standing, only)).all()
            if expected is not None and len(found) != expected:
                raise InputError(
                    f"expected {expected} matching records, as was shown; now {len(found)} match: look again"
                )
            numbers = sorted(row.id for row in found if row.standing != human_label)
            after = {"human_label": human_label, "human_class": None, "note": note}
            action = self._act(
                connection,
                by,
                BULK,
                f"{len(numbers)} records",
                {"selection": _selection(only), "labels": _counts(row.standing for row in found)},
                {**(_plain(after) or {}), "records": _ranges(numbers)},
            )
            self._say(connection, action, by, [(number, after) for number in numbers])
        return action, len(numbers)

    def undo(self, action_id: int, *, by: str | None = None) -> tuple[int, int]:
        """Take back a labelling, of one record or of many; return the number of this action, and of the records.

        Each record gets the label back that it had before, or none. A record that was labelled again since is left as
        it is.

        Raises
        ------
        AuditError
            If there is no such action.
        InputError
            If it is no labelling, or was taken back already.
        """
        with self._writing() as connection:
            self._lock(connection, Action)
            what = connection.execute(select(Action.what).where(Action.id == action_id)).scalar_one_or_none()
            if what is None:
                raise UnknownRecordError(f"there is no action {action_id} in the audit store")
            if what not in (LABEL, NOTE, BULK):
                raise InputError(
                    f"action {action_id} is {what!r}, which cannot be undone; labels and notes can"
                )
            kinds, target = (UNDO, BULK_UNDO), f"action {action_id}"
            done = select(Action.id).where(Action.target == target, Action.what.in_(kinds))
            if connection.execute(done).first() is not None:
                raise InputError(f"action {action_id} was undone already")
            given = connection.execute(
                select(Label.id, Label.record_id).where(Label.action_id == action_id).order_by(Label.id)
            ).all()
            back = list(_earlier(connection, [(row.record_id, row.id) for row in given]))
            action = self._act(
                connection,
                by,
                BULK_UNDO if what == BULK else UNDO,
                target,
                {"records": len(given)},
                {"records": _ranges([number for number, _ in back])},
            )
            self._say(connection, action, by, back)
        return action, len(back)

    def last_labelling(self, record_id: int, *, by: str | None = None) -> int | None:
        """Return the number of the action whose label or note stands on a record, for :meth:`undo`.

        None if it has none, that is an undo, or it is another person's than ``by``, where that is given.
        """
        with self._reading() as connection:
            latest = select(func.max(Label.id)).where(Label.record_id == record_id).scalar_subquery()
            found = connection.execute(
                select(Action.id, Action.who, Action.what)
                .join(Label, Label.action_id == Action.id)
                .where(Label.id == latest)
            ).one_or_none()
        if found is None or found.what not in (LABEL, NOTE, BULK) or by not in (None, found.who):
            return None
        number: int = found.id
        return number

    def labels(self, record_id: int) -> list[HumanLabel]:
        """Return all human labels of a record, oldest first; AuditError if there is no such record."""
        table = Label.__table__
        columns = [table.c[field.name] for field in fields(HumanLabel)]
        with self._reading() as connection:
            rows = connection.execute(
                select(*columns).where(table.c.record_id == record_id).order_by(table.c.id)
            ).all()
            if not rows:
                self._rows(connection, [record_id])
        return [HumanLabel(**row._asdict()) for row in rows]

    def _rows(self, connection: Connection, numbers: list[int]) -> list[dict[str, Any]]:
        """Read records with their latest labels; UnknownRecordError if there is not one of each number."""
        rows = connection.execute(query.records().where(Record.id.in_(numbers)).order_by(Record.id)).all()
        if missing := set(numbers) - {row.id for row in rows}:
            low, high = connection.execute(select(func.min(Record.id), func.max(Record.id))).one()
            held = "it is empty" if low is None else f"its numbers go from {low} to {high}"
            raise UnknownRecordError(f"no record {min(missing)} in the audit store; {held}")
        return [row._asdict() for row in rows]

    def _say(
        self,
        connection: Connection,
        action: int,
        by: str | None,
        said: Sequence[tuple[int, dict[str, Any]]],
    ) -> None:
        """Add labels to records, and note on each the one that stands."""
        shared = {"labelled_by": by, "labelled_at": datetime.now(UTC), "action_id": action}
        self._append(connection, Label, [words | shared | {"record_id": number} for number, words in said])
        standing = sorted(said, key=lambda one: str(one[1]["human_label"]))
        for label, same in groupby(standing, key=lambda one: one[1]["human_label"]):
            for some in chunks([number for number, _ in same]):
                connection.execute(update(Record).where(Record.id.in_(some)).values(standing=label))


def _earlier(connection: Connection, given: list[tuple[int, int]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, what stood before) of each record on which its label, by number, is still the latest.

    Labels that were taken back do not count, so that one after the other can be.
    """
    for some in chunks(given):
        rows = connection.execute(
            select(Label.id, Label.record_id, Action.what, *(getattr(Label, name) for name in _SAID))
            .outerjoin(Action, Action.id == Label.action_id)
            .where(Label.record_id.in_([number for number, _ in some]))
            .order_by(Label.id)
        ).all()
        standing: dict[int, list[Any]] = {}
        for row in rows:
            labels = standing.setdefault(row.record_id, [])
            if row.what in (UNDO, BULK_UNDO):
                labels.pop()
            else:
                labels.append(row)
        for number, label_id in some:
            labels = standing[number]
            if labels and labels[-1].id == label_id:
                before = {name: getattr(labels[-2], name) if len(labels) > 1 else None for name in _SAID}
                yield number, before


def _plain(said: dict[str, Any]) -> dict[str, Any] | None:
    """Leave out what is None; None if nothing is left."""
    return {name: value for name, value in said.items() if value is not None} or None


def _selection(only: query.Selection) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in only.items()
        if value not in (None, False)
    }


def _counts(labels: Iterator[str | None]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for label in labels:
        counts[label or "none"] = counts.get(label or "none", 0) + 1
    return counts


def _ranges(numbers: list[int]) -> list[list[int]]:
    """Write ascending numbers as ranges: [1, 2, 3, 7] as [[1, 3], [7, 7]]."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
