"""The check of messages holds for all of them, and the index that only a foreign key used is gone."""

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

_INDEX = "inbox_entries_message_id_idx"


def upgrade() -> None:
    # This reads all messages. They are sent meanwhile.
    op.execute("ALTER TABLE messages VALIDATE CONSTRAINT messages_content_check")
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, table_name="inbox_entries", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    op.create_index(_INDEX, "inbox_entries", ["message_id"], unique=False)
