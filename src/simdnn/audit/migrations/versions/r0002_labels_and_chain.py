"""Labels in a table of their own, a hash chain over all rows, more of each verdict, and whether an image was kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from simdnn.audit.chain import START, link

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PAGE = 1000
"""Number of rows in memory at a time."""

_Columns = tuple[tuple[str, sa.types.TypeEngine[Any]], ...]

_LABEL: _Columns = (
    ("human_label", sa.String(16)),
    ("human_class", sa.Text()),
    ("labelled_by", sa.Text()),
    ("labelled_at", sa.DateTime(timezone=True)),
    ("note", sa.Text()),
)
_VERDICT: _Columns = (
    ("time", sa.DateTime(timezone=True)),
    *((name, sa.Text()) for name in ("model_id", "path", "verdict", "label", "classifier_label")),
    *((name, sa.Float(53)) for name in ("score", "p_value", "p_value_clean", "p_value_mixture", "threshold")),
    *((name, sa.Text()) for name in ("prototype", "rule", "error", "image_sha256")),
    ("evidence", sa.JSON()),
)
_ADDED: _Columns = (
    ("p_value_clean", sa.Float(53)),
    ("p_value_mixture", sa.Float(53)),
    ("opinion_class", sa.Text()),
    ("opinion", sa.Float(53)),
    ("certified_radius", sa.Float(53)),
    ("image_kept", sa.Boolean()),
)
_verdicts = sa.table(
    "record", sa.column("id", sa.Integer()), *(sa.column(name, kind) for name, kind in _VERDICT)
)
_chains = sa.table("record", sa.column("id", sa.Integer()), sa.column("chain", sa.Text()))
_labelled = sa.table(
    "record", sa.column("id", sa.Integer()), *(sa.column(name, kind) for name, kind in _LABEL)
)
_labels = sa.table(
    "label",
    sa.column("id", sa.Integer()),
    sa.column("record_id", sa.Integer()),
    *(sa.column(name, kind) for name, kind in _LABEL),
    sa.column("chain", sa.Text()),
)
_heads = sa.table(
    "chain_head",
    sa.column("table_name", sa.Text()),
    sa.column("number", sa.Integer()),
    sa.column("chain", sa.Text()),
)


def upgrade() -> None:
    """Carry the labels over and chain the rows in the order of their numbers."""
    for name, kind in _ADDED:
        op.add_column("record", sa.Column(name, kind))
    op.add_column("record", sa.Column("chain", sa.String(64)))
    op.create_table(
        "label",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, kind, nullable=name not in ("human_label", "labelled_at"))
            for name, kind in _LABEL
        ),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_label"),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name="fk_label_record_id"),
    )
    op.create_index("ix_label_record_id", "label", ["record_id"])
    op.create_table(
        "chain_head",
        sa.Column("table_name", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("table_name", name="pk_chain_head"),
    )
    _carry_labels_over()
    _chain_records()
    op.drop_index("ix_record_human_label", "record")
    with op.batch_alter_table("record") as batch:
        batch.alter_column("chain", existing_type=sa.String(64), nullable=False)
        for name, _ in _LABEL:
            batch.drop_column(name)
    if op.get_bind().dialect.name == "postgresql":  # numbers follow the chain now
        op.alter_column("record", "id", server_default=None)
        op.execute("DROP SEQUENCE IF EXISTS record_id_seq")


def downgrade() -> None:
    """Move the latest label of each record back into the record, and drop the chain."""
    for name, kind in _LABEL:
        op.add_column("record", sa.Column(name, kind))
    bind = op.get_bind()
    for page in _pages(_labels):  # in the order of their numbers: the latest is what stays
        for row in page:
            label = {name: row[name] for name, _ in _LABEL}
            bind.execute(sa.update(_labelled).where(_labelled.c.id == row["record_id"]).values(**label))
    op.create_index("ix_record_human_label", "record", ["human_label"])
    op.drop_table("label")
    op.drop_table("chain_head")
    with op.batch_alter_table("record") as batch:
        batch.drop_column("chain")
        for name, _ in reversed(_ADDED):
            batch.drop_column(name)
    if bind.dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE record_id_seq OWNED BY record.id")
        op.execute("SELECT setval('record_id_seq', (SELECT coalesce(max(id), 0) + 1 FROM record), false)")
        op.alter_column("record", "id", server_default=sa.text("nextval('record_id_seq')"))


def _carry_labels_over() -> None:
    number, chain = 0, START
    for page in _pages(_labelled, _labelled.c.human_label.is_not(None)):
        rows = []
        for label in page:
            number += 1
            row = label | {"id": number, "record_id": label["id"]}
            chain = link(chain, row)
            rows.append(row | {"chain": chain})
        op.get_bind().execute(sa.insert(_labels), rows)
    _end("label", number, chain)


def _chain_records() -> None:
    number, chain = 0, START
    change = sa.update(_chains).where(_chains.c.id == sa.bindparam("number"))
    change = change.values(chain=sa.bindparam("value"))
    for page in _pages(_verdicts):
        rows = []
        for row in page:
            number, chain = row["id"], link(chain, row)
            rows.append({"number": number, "value": chain})
        op.get_bind().execute(change, rows)
    _end("record", number, chain)


def _end(table: str, number: int, chain: str) -> None:
    op.get_bind().execute(sa.insert(_heads).values(table_name=table, number=number, chain=chain))


def _pages(table: sa.TableClause, *only: sa.ColumnElement[bool]) -> Iterator[list[dict[str, Any]]]:
    """Yield all rows in the order of their numbers, in pages."""
    after = 0
    while True:
        query = sa.select(table).where(table.c.id > after, *only).order_by(table.c.id).limit(PAGE)
        rows = [row._asdict() for row in op.get_bind().execute(query)]
        if not rows:
            return
        yield rows
        after = rows[-1]["id"]
