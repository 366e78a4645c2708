"""Participants note whether they have opened the conversation, so that they see it before it has messages.

It is not known of conversations that were opened before, and version 0.2 does not note it, so the default is
that each participant has. On a table of any size, a column with a constant default is added at once.
"""

from alembic import op
from db.patience import alter_patiently

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        alter_patiently(
            op.get_bind(),
            "ALTER TABLE participants ADD COLUMN IF NOT EXISTS has_opened boolean NOT NULL DEFAULT true",
        )


def downgrade() -> None:
    op.execute("ALTER TABLE participants DROP COLUMN has_opened")
