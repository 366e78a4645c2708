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
# An entry whose message is gone has no time, and is as good as old. What has been deleted is noted by kind,
# and by whether it was the user's own action, so that only readers who missed something have to start again.
# The setting tells the trigger, which notes for the version before, that this statement does so itself.
_LOCK = Statement(text("SELECT pg_try_advisory_xact_lock(:key)"))
_TRIM = Statement(
    text("""
    WITH chosen AS (
        SELECT user_id, trimmed_to FROM inboxes
        WHERE user_id > :after AND last_position > trimmed_to
        ORDER BY user_id LIMIT :inboxes
    ), oldest AS (
        SELECT chosen.user_id, entry.position, entry.kind, entry.own
        FROM chosen CROSS JOIN LATERAL (
            SELECT inbox_entries.position, inbox_entries.kind,
                   coalesce(coalesce(inbox_entries.actor_id, messages.author_id) = chosen.user_id, false)
                       AS own,
                   bool_and(coalesce(inbox_entries.created_at, messages.created_at, '-infinity') < :before)
                       OVER (ORDER BY inbox_entries.position) AS is_old
            FROM inbox_entries LEFT JOIN messages ON messages.id = inbox_entries.message_id
            WHERE inbox_entries.user_id = chosen.user_id AND inbox_entries.position > chosen.trimmed_to
            ORDER BY inbox_entries.position LIMIT :entries
        ) AS entry
        WHERE entry.is_old
    ), old AS (
        SELECT user_id, max(position) AS up_to, count(*) AS entries FROM oldest GROUP BY user_id
    ), dropped AS (
        DELETE FROM inbox_entries USING old
        WHERE inbox_entries.user_id = old.user_id AND inbox_entries.position <= old.up_to
        RETURNING inbox_entries.user_id
    ), locked AS (
        SELECT inboxes.user_id, old.up_to FROM inboxes JOIN old ON old.user_id = inboxes.user_id
        WHERE (SELECT count(*) FROM dropped) > 0
          AND (SELECT set_config('messenger.counts', 'on', true)) = 'on'
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ), trimmed AS (
        UPDATE inboxes SET trimmed_to = locked.up_to FROM locked WHERE inboxes.user_id = locked.user_id
    ), noted AS (
        INSERT INTO inbox_trims (user_id, kind, own, trimmed_to)
        SELECT oldest.user_id, oldest.kind, oldest.own, max(oldest.position)
        FROM oldest JOIN locked ON locked.user_id = oldest.user_id
        GROUP BY oldest.user_id, oldest.kind, oldest.own
        ON CONFLICT (user_id, kind, own) DO UPDATE SET trimmed_to = EXCLUDED.trimmed_to
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
