"""The rows of users who wrote or took part in a conversation cannot be deleted.

Deleting a user's messages would leave gaps in the history of others. Removed users keep their row, with
`removed_at`. Each statement is its own transaction and can be repeated, so an interrupted migration is
continued.
"""

from alembic import op
from db.patience import alter_patiently

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None

_COLUMNS = {"messages": "author_id", "participants": "user_id"}


def _replace(table: str, column: str, on_delete: str) -> str:
    name = f"{table}_{column}_fkey"
    return f"""
        ALTER TABLE {table}
            DROP CONSTRAINT IF EXISTS {name},
            ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES users (id) {on_delete}
    """


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, column in _COLUMNS.items():
            # In the order in which senders lock them.
            alter_patiently(op.get_bind(), _replace(table, column, "NOT VALID"), locks=(table, "users"))
            # This reads the table. Messages are sent meanwhile.
            alter_patiently(op.get_bind(), f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_{column}_fkey")


def downgrade() -> None:
    for table, column in _COLUMNS.items():
        op.execute(_replace(table, column, "ON DELETE CASCADE"))
