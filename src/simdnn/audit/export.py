"""Records as tables that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import TextIO

from simdnn.audit.store import FIELDS, AuditRecord


def write_csv(records: Iterable[AuditRecord], file: TextIO) -> None:
    """Write a header and one row a record; the evidence as JSON in its cell."""
    writer = csv.DictWriter(file, FIELDS)
    writer.writeheader()
    for record in records:
        plain = record.as_dict()
        writer.writerow(plain | {"evidence": json.dumps(plain["evidence"])})


def write_json_lines(records: Iterable[AuditRecord], file: TextIO) -> None:
    """Write one JSON object a line."""
    for record in records:
        file.write(json.dumps(record.as_dict()) + "\n")
