"""Deleting inbox entries older than the retention time, in small batches."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from db.statements import Connection, Statement

# Any number that no other program uses for an advisory lock. Its holder trims.
_TRIM_LOCK = 7_463_901_225_119
_INBOXES = 50
_ENTRIES = 200

# Entries are deleted first. The rows of the inboxes, which senders need, are locked last and in the same
# order as senders lock them. An inbox is trimmed up to its first recent entry, even if later ones are older.
_LOCK = Statement(text("SELECT pg_try_advisory_xact_lock(:key)"))
_TRIM = Statement(
    text("""
    WITH chosen AS (
        SELECT user_id, trimmed_to FROM inboxes
        WHERE user_id > :after AND last_position > trimmed_to
        ORDER BY user_id LIMIT :inboxes
    ), old AS (
        SELECT chosen.user_id, max(oldest.position) AS up_to, count(*) AS entries
        FROM chosen CROSS JOIN LATERAL (
            SELECT inbox_entries.position,
                   bool_and(messages.created_at < :before) OVER (ORDER BY inbox_entries.position) AS is_old
            FROM inbox_entries JOIN messages ON messages.id = inbox_entries.message_id
            WHERE inbox_entries.user_id = chosen.user_id AND inbox_entries.position > chosen.trimmed_to
            ORDER BY inbox_entries.position LIMIT :entries
        ) AS oldest
        WHERE oldest.is_old
        GROUP BY chosen.user_id
    ), dropped AS (
        DELETE FROM inbox_entries USING old
        WHERE inbox_entries.user_id = old.user_id AND inbox_entries.position <= old.up_to
        RETURNING inbox_entries.user_id
    ), locked AS (
        SELECT inboxes.user_id, old.up_to FROM inboxes JOIN old ON old.user_id = inboxes.user_id
        WHERE (SELECT count(*) FROM dropped) > 0
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ), noted AS (
        UPDATE inboxes SET trimmed_to = locked.up_to FROM locked WHERE inboxes.user_id = locked.user_id
    )
    SELECT (SELECT count(*) FROM dropped) AS entries,
           (SELECT max(user_id::text)::uuid FROM chosen) AS last_inbox,
           (SELECT coalesce(bool_or(entries = :entries), false) FROM old) AS has_more
""")
)


@dataclass(frozen=True, slots=True)
class TrimmedBatch:
    """How many entries were deleted, the last inbox of the batch, and whether an inbox has more to delete."""

    entries: int
    last_inbox: UUID | None
    has_more: bool


async def trim_batch(connection: Connection, *, before: datetime, after: UUID) -> TrimmedBatch | None:
    """Delete up to 200 entries older than `before` from each of the next 50 inboxes after that user ID.

    None if another process is trimming.
    """
    if not await _LOCK.fetchval(connection, key=_TRIM_LOCK):
        return None
    [row] = await _TRIM.fetch(connection, before=before, after=after, inboxes=_INBOXES, entries=_ENTRIES)
    return TrimmedBatch(row["entries"], row["last_inbox"], row["has_more"])
