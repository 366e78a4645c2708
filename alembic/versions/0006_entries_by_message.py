"""An index of the inbox entries by message, so that a message's deletion does not scan all of them."""

import sqlalchemy as sa

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

_INDEX = "inbox_entries_message_id_idx"
# An interrupted build leaves an invalid index behind.
_INVALID = sa.text("""
    SELECT 1 FROM pg_index
    WHERE indexrelid = to_regclass(:name) AND NOT indisvalid
""").bindparams(name=_INDEX)


def upgrade() -> None:
    # Messages are sent while the index is built.
    with op.get_context().autocommit_block():
        if op.get_bind().execute(_INVALID).first() is not None:
            op.drop_index(_INDEX, table_name="inbox_entries", postgresql_concurrently=True)
        op.create_index(
            _INDEX,
            "inbox_entries",
            ["message_id"],
            unique=False,
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, table_name="inbox_entries", postgresql_concurrently=True)
