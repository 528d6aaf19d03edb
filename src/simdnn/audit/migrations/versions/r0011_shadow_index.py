"""An index by which verdicts of two guards are counted without reading the rows."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "ix_shadow_check_guards",
        "shadow_check",
        ["model_id", "shadow_id", "verdict", "shadow_verdict", "id"],
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_shadow_check_guards", "shadow_check")
