"""Removed users note whether their messages are still to be deleted, if a removal is interrupted.

On a table of any size, a column with a constant default is added at once.
"""

from alembic import op
from db.patience import alter_patiently

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        alter_patiently(
            op.get_bind(),
            "ALTER TABLE users ADD COLUMN IF NOT EXISTS deletes_messages boolean NOT NULL DEFAULT false",
        )


def downgrade() -> None:
    op.execute("ALTER TABLE users DROP COLUMN deletes_messages")
