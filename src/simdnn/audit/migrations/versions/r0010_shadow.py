"""A table of a second guard's verdicts beside those of the guard in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "shadow_check",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("image_sha256", sa.String(64)),
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("score", sa.Float(53)),
        sa.Column("p_value", sa.Float(53)),
        sa.Column("shadow_id", sa.String(64), nullable=False),
        sa.Column("shadow_verdict", sa.String(16), nullable=False),
        sa.Column("shadow_score", sa.Float(53)),
        sa.Column("shadow_p_value", sa.Float(53)),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_check"),
    )
    op.create_index("ix_shadow_check_time", "shadow_check", ["time"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("shadow_check")
