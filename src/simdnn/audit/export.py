"""Export records as CSV and as JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from simdnn.audit.records import FIELDS, AuditRecord

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Texts with which a formula starts in a spreadsheet; the last four are full-width forms of the first four."""


def csv_cell(value: Any) -> Any:
    """Escape a value so that no spreadsheet takes it for a formula: file names may come from an attacker.

    A text that starts like a formula, or with an apostrophe, gets an apostrophe in front. To restore it, remove one
    apostrophe from every text that starts with one. Numbers stay as they are.

    >>> [csv_cell(value) for value in ("=1+1", "'quoted'", "a=b", -0.5)]
    ["'=1+1", "''quoted'", 'a=b', -0.5]
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*FORMULA, "'")) else value


def write_csv(records: Iterable[AuditRecord], file: TextIO) -> int:
    """Write a header and one row per record, with :func:`csv_cell`; return the number of records. Evidence is JSON."""
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
    """Write one JSON object per line, without escaping for spreadsheets; return the number of records."""
    number = 0
    for record in records:
        file.write(json.dumps(record.as_dict()) + "\n")
        number += 1
    return number
