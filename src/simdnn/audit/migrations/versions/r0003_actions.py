"""Actions of people in a chain of their own, who asked, images' sizes, and indexes for pages and filters."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from simdnn.audit.chain import START

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ADDED: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("image_bytes", sa.Integer()),
    ("token", sa.Text()),
    ("request_id", sa.String(64)),
    ("standing", sa.String(16)),
)
_INDEXES = {
    "ix_record_page": (
        "time",
        "id",
        "verdict",
        "standing",
        "p_value",
        "label",
        "classifier_label",
        "model_id",
        "token",
    ),
    "ix_record_prototype": ("prototype", "time", "id"),
    "ix_record_image_sha256": ("image_sha256",),
}


def upgrade() -> None:
    """Add the columns and the table, and note on each record the label that stands."""
    op.create_table(
        "action",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text()),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_action"),
    )
    op.create_index("ix_action_what", "action", ["what"])
    op.create_index("ix_action_target", "action", ["target"])
    heads = sa.table("chain_head", *(sa.column(name) for name in ("table_name", "number", "chain")))
    op.execute(sa.insert(heads).values(table_name="action", number=0, chain=START))
    for name, kind in _ADDED:
        op.add_column("record", sa.Column(name, kind))
    with op.batch_alter_table("label") as batch:
        batch.alter_column("human_label", existing_type=sa.String(16), nullable=True)
        batch.add_column(sa.Column("action_id", sa.Integer()))
        batch.create_foreign_key("fk_label_action_id", "action", ["action_id"], ["id"])
    op.create_index("ix_label_action_id", "label", ["action_id"])
    op.execute(
        "UPDATE record SET standing = (SELECT human_label FROM label WHERE label.id = "
        "(SELECT max(id) FROM label WHERE record_id = record.id)) "
        "WHERE id IN (SELECT record_id FROM label)"
    )
    for column in ("time", "verdict"):
        op.drop_index(f"ix_record_{column}", "record")
    for index, columns in _INDEXES.items():
        op.create_index(index, "record", list(columns))


def downgrade() -> None:
    """Drop them; a label that was taken back becomes one of being unsure, for the older schema has no other."""
    for index in _INDEXES:
        op.drop_index(index, "record")
    for column in ("time", "verdict"):
        op.create_index(f"ix_record_{column}", "record", [column])
    op.execute("UPDATE label SET human_label = 'unsure' WHERE human_label IS NULL")
    op.drop_index("ix_label_action_id", "label")
    with op.batch_alter_table("label") as batch:
        batch.drop_constraint("fk_label_action_id", type_="foreignkey")
        batch.drop_column("action_id")
        batch.alter_column("human_label", existing_type=sa.String(16), nullable=False)
    with op.batch_alter_table("record") as batch:
        for name, _ in reversed(_ADDED):
            batch.drop_column(name)
    op.execute("DELETE FROM chain_head WHERE table_name = 'action'")
    op.drop_table("action")
