"""Records as tables that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from simdnn.audit.records import FIELDS, AuditRecord

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the start of a formula; the last four are the wide forms of the first."""


def csv_cell(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula: texts may be names that an attacker chose.

    A text that starts like a formula, or with an apostrophe, gets an apostrophe in front; a reader who wants the
    text itself takes one apostrophe off whatever starts with one. Numbers stay as they are.

    >>> [csv_cell(value) for value in ("=1+1", "'quoted'", "a=b", -0.5)]
    ["'=1+1", "''quoted'", 'a=b', -0.5]
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*FORMULA, "'")) else value


def write_csv(records: Iterable[AuditRecord], file: TextIO) -> int:
    """Write a header and one row a record, cells by :func:`csv_cell`, evidence as JSON; return how many records."""
    writer = csv.DictWriter(file, FIELDS)
    writer.writeheader()
    number = 0
    for record in records:
        plain = record.as_dict()
        plain["evidence"] = json.dumps(plain["evidence"])
        writer.writerow({name: csv_cell(value) for name, value in plain.items()})
        number += 1
    return number


def write_json_lines(records: Iterable[AuditRecord], file: TextIO) -> int:
    """Write one JSON object a line, as texts are; return how many records."""
    number = 0
    for record in records:
        file.write(json.dumps(record.as_dict()) + "\n")
        number += 1
    return number
