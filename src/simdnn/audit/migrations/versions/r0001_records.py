"""The first schema: one table of records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "record",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("classifier_label", sa.Text()),
        sa.Column("score", sa.Float(53)),
        sa.Column("p_value", sa.Float(53)),
        sa.Column("threshold", sa.Float(53)),
        sa.Column("prototype", sa.Text()),
        sa.Column("rule", sa.String(32)),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("image_sha256", sa.String(64)),
        sa.Column("human_label", sa.String(16)),
        sa.Column("human_class", sa.Text()),
        sa.Column("labelled_by", sa.Text()),
        sa.Column("labelled_at", sa.DateTime(timezone=True)),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_record"),
    )
    for column in ("time", "verdict", "human_label"):
        op.create_index(f"ix_record_{column}", "record", [column])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("record")
