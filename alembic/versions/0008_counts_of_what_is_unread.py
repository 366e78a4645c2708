"""The unread counts of what was there before the triggers of 0007.

A few inboxes at a time, each batch in its own transaction. The version before goes on sending and reading: an
inbox that has been counted stays exact, because the triggers count what changes.
"""

from uuid import UUID

import sqlalchemy as sa

from alembic import op
from db.patience import LOCK_TIMEOUT, alter_patiently, retried

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

# The inbox is locked first, as by everything that appends to it. The later statements of the function see
# what was committed before the lock was granted.
_RECOUNT = f"""
    CREATE OR REPLACE FUNCTION messenger_recount(reader uuid) RETURNS void LANGUAGE plpgsql
    SET lock_timeout = '{LOCK_TIMEOUT}' AS $$
    BEGIN
        PERFORM FROM inboxes WHERE user_id = reader FOR UPDATE;
        WITH fresh AS (
            SELECT participants.conversation_id, (
                SELECT count(*) FROM messages
                WHERE messages.conversation_id = participants.conversation_id
                  AND messages.seq > participants.read_seq
                  AND messages.author_id <> reader AND messages.deleted_at IS NULL
            ) AS unread
            FROM participants JOIN conversations ON conversations.id = participants.conversation_id
            WHERE participants.user_id = reader
              AND (conversations.last_seq > participants.read_seq OR participants.unread_count > 0)
        )
        UPDATE participants SET unread_count = fresh.unread FROM fresh
        WHERE participants.conversation_id = fresh.conversation_id AND participants.user_id = reader
          AND participants.unread_count <> fresh.unread;
        UPDATE inboxes SET (unread_conversations, unread_messages) = (
            SELECT count(*), coalesce(sum(unread_count), 0) FROM participants
            WHERE user_id = reader AND unread_count > 0
        )
        WHERE user_id = reader;
    END $$
"""
_COUNT = sa.text("""
    SELECT CAST(max(CAST(user_id AS text)) AS uuid) FROM (
        SELECT user_id, messenger_recount(user_id) FROM (
            SELECT user_id FROM inboxes WHERE user_id > :after ORDER BY user_id LIMIT 20
        ) AS batch
    ) AS counted
""").bindparams(sa.bindparam("after", type_=sa.Uuid))
_NOTE_TRIMS = sa.text("""
    INSERT INTO inbox_trims (user_id, kind, own, trimmed_to)
    SELECT user_id, 0, false, trimmed_to FROM inboxes WHERE trimmed_to > 0
    ON CONFLICT DO NOTHING
""")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        alter_patiently(connection, _RECOUNT)
        last: UUID | None = UUID(int=0)
        while last is not None:
            last = retried(connection, _COUNT, after=last).scalar()
        retried(connection, _NOTE_TRIMS)
        alter_patiently(connection, "DROP FUNCTION messenger_recount(uuid)")


def downgrade() -> None:
    """The counts go with their columns."""
