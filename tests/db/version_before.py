"""The statements of the version before revision 0007, word for word, and how it decodes a hint.

It serves while the migrations run and, during a rolling upgrade, beside this version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from db.ids import new_id
from db.statements import Connection

_SEND = """
    WITH
    conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1
        WHERE id = $1 AND EXISTS (
            SELECT FROM participants WHERE conversation_id = $1 AND user_id = $2)
        RETURNING id, last_seq
    ),
    message AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key)
        SELECT $3, id, last_seq, $2, $4, CAST($5 AS uuid)
        FROM conversation
        RETURNING messages.id AS id, messages.conversation_id AS conversation_id, messages.seq AS seq,
            messages.author_id AS author_id, messages.content AS content, messages.created_at AS created_at
    ),
    arriving AS (
        SELECT participants.user_id, 1 AS nth, message.id, message.conversation_id, message.seq,
               message.author_id
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
    ),
    locked_inboxes AS (
        SELECT inboxes.user_id, added.count
        FROM inboxes JOIN (SELECT user_id, 1 AS count FROM arriving) AS added
          ON added.user_id = inboxes.user_id
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ),
    advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + locked.count
        FROM locked_inboxes AS locked WHERE inboxes.user_id = locked.user_id
        RETURNING inboxes.user_id, inboxes.last_position - locked.count AS last_position
    ),
    arrived AS (
        SELECT arriving.*, last_position + nth AS position
        FROM arriving JOIN advanced ON advanced.user_id = arriving.user_id
    ),
    entries AS (
        INSERT INTO inbox_entries (user_id, position, message_id) SELECT user_id, position, id FROM arrived
    ),
    marks AS (
        UPDATE participants SET last_position = newest.position, read_seq = coalesce(own_seq, read_seq)
        FROM (
        SELECT conversation_id, user_id, position, CASE WHEN author_id = user_id THEN seq END AS own_seq
        FROM arrived
    ) AS newest
        WHERE participants.conversation_id = newest.conversation_id
          AND participants.user_id = newest.user_id
    )
    SELECT message.id AS id, message.conversation_id AS conversation_id, message.seq AS seq,
            message.author_id AS author_id, message.content AS content, message.created_at AS created_at,
        arrived.user_id, arrived.position
    FROM message JOIN arrived ON arrived.id = message.id
"""
_SEND_ALL = """
    WITH
    outgoing AS (
        SELECT * FROM unnest(
            CAST($1 AS uuid[]), CAST($2 AS uuid[]), CAST($3 AS uuid[]),
            CAST($4 AS text[]), CAST($5 AS uuid[])
        ) WITH ORDINALITY AS outgoing (id, conversation_id, author_id, content, idempotency_key, place)
    ),
    permitted AS (
        SELECT outgoing.*, outgoing.idempotency_key IS NOT NULL AND (
            row_number() OVER (PARTITION BY author_id, idempotency_key ORDER BY place) > 1
            OR EXISTS (SELECT FROM messages WHERE messages.author_id = outgoing.author_id
                                              AND messages.idempotency_key = outgoing.idempotency_key)
        ) AS has_used_key
        FROM outgoing JOIN participants ON participants.conversation_id = outgoing.conversation_id
                                       AND participants.user_id = outgoing.author_id
    ),
    numbered AS (
        SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY place) AS nth
        FROM permitted WHERE NOT has_used_key
    ),
    locked_conversations AS (
        SELECT conversations.id, added.count FROM conversations
        JOIN (SELECT conversation_id, count(*) FROM numbered GROUP BY conversation_id) AS added
          ON added.conversation_id = conversations.id
        ORDER BY conversations.id
        FOR NO KEY UPDATE OF conversations
    ),
    conversation AS (
        UPDATE conversations SET last_seq = conversations.last_seq + locked.count
        FROM locked_conversations AS locked WHERE conversations.id = locked.id
        RETURNING conversations.id, conversations.last_seq - locked.count AS last_seq,
                  CAST(clock_timestamp() AS timestamptz(3)) AS now
    ),
    message AS (
        SELECT numbered.*, last_seq + nth AS seq, now AS created_at
        FROM numbered JOIN conversation ON conversation.id = numbered.conversation_id
    ),
    stored AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key, created_at)
        SELECT id, conversation_id, seq, author_id, content, idempotency_key, created_at
        FROM message ORDER BY author_id, idempotency_key
        RETURNING id
    ),
    arriving AS (
        SELECT participants.user_id, message.place, message.id, message.conversation_id, message.seq,
               message.author_id, message.created_at,
               row_number() OVER (PARTITION BY participants.user_id ORDER BY message.place) AS nth
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
        WHERE (SELECT count(*) FROM stored) > 0
    ),
    locked_inboxes AS (
        SELECT inboxes.user_id, added.count
        FROM inboxes JOIN (SELECT user_id, count(*) FROM arriving GROUP BY user_id) AS added
          ON added.user_id = inboxes.user_id
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ),
    advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + locked.count
        FROM locked_inboxes AS locked WHERE inboxes.user_id = locked.user_id
        RETURNING inboxes.user_id, inboxes.last_position - locked.count AS last_position
    ),
    arrived AS (
        SELECT arriving.*, last_position + nth AS position
        FROM arriving JOIN advanced ON advanced.user_id = arriving.user_id
    ),
    entries AS (
        INSERT INTO inbox_entries (user_id, position, message_id) SELECT user_id, position, id FROM arrived
    ),
    marks AS (
        UPDATE participants SET last_position = newest.position, read_seq = coalesce(own_seq, read_seq)
        FROM (
        SELECT conversation_id, user_id, max(position) AS position,
               max(seq) FILTER (WHERE author_id = user_id) AS own_seq
        FROM arrived GROUP BY conversation_id, user_id
    ) AS newest
        WHERE participants.conversation_id = newest.conversation_id
          AND participants.user_id = newest.user_id
    )
    SELECT place, seq, created_at, array_agg(user_id) AS user_ids, array_agg(position) AS positions
    FROM arrived GROUP BY place, seq, created_at
    UNION ALL SELECT place, NULL, NULL, NULL, NULL FROM permitted WHERE has_used_key
"""
_READ = """
    SELECT inboxes.trimmed_to, inboxes.last_position, entry.*
    FROM inboxes LEFT JOIN LATERAL (
        SELECT inbox_entries.position, messages.id AS id,
        messages.conversation_id AS conversation_id, messages.seq AS seq,
            messages.author_id AS author_id, messages.content AS content, messages.created_at AS created_at
        FROM inbox_entries
        JOIN messages ON messages.id = inbox_entries.message_id
        JOIN participants ON participants.conversation_id = messages.conversation_id
                         AND participants.user_id = inbox_entries.user_id
        WHERE inbox_entries.user_id = inboxes.user_id AND inbox_entries.position > $1
        ORDER BY inbox_entries.position
        LIMIT $2
    ) AS entry ON true
    WHERE inboxes.user_id = $3
    ORDER BY entry.position
"""
_TRIM = """
    WITH chosen AS (
        SELECT user_id, trimmed_to FROM inboxes
        WHERE user_id > $1 AND last_position > trimmed_to
        ORDER BY user_id LIMIT $2
    ), old AS (
        SELECT chosen.user_id, max(oldest.position) AS up_to, count(*) AS entries
        FROM chosen CROSS JOIN LATERAL (
            SELECT inbox_entries.position,
                   bool_and(messages.created_at < $3) OVER (ORDER BY inbox_entries.position) AS is_old
            FROM inbox_entries JOIN messages ON messages.id = inbox_entries.message_id
            WHERE inbox_entries.user_id = chosen.user_id AND inbox_entries.position > chosen.trimmed_to
            ORDER BY inbox_entries.position LIMIT $4
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
           (SELECT coalesce(bool_or(entries = $4), false) FROM old) AS has_more
"""
_MARK_READ = """
    UPDATE participants SET read_seq=greatest(participants.read_seq, $1::BIGINT)
    WHERE participants.conversation_id = $2::UUID AND participants.user_id = $3::UUID
"""
_NOTE_ALIVE = """
    INSERT INTO processes (id, seen_at) VALUES ($1::UUID, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message to send."""

    conversation_id: UUID
    author_id: UUID
    content: str


async def send(connection: Connection, message: Sent) -> Sequence[Record]:
    """Send a message: one row for each participant."""
    return await connection.fetch(
        _SEND, message.conversation_id, message.author_id, new_id(), message.content, None
    )


async def send_all(connection: Connection, batch: Sequence[Sent]) -> Sequence[Record]:
    """Send several messages in one statement: one row for each message."""
    return await connection.fetch(
        _SEND_ALL,
        [new_id() for _ in batch],
        [each.conversation_id for each in batch],
        [each.author_id for each in batch],
        [each.content for each in batch],
        [None for _ in batch],
    )


async def mark_read(connection: Connection, conversation_id: UUID, user_id: UUID, seq: int) -> None:
    """Move the user's read mark up to the message."""
    await connection.execute(_MARK_READ, seq, conversation_id, user_id)


async def read(
    connection: Connection, user_id: UUID, *, after: int, limit: int = 100
) -> tuple[Sequence[tuple[int, str]], int]:
    """Return the entries after that position with their texts, and the position up to which they reach."""
    rows = await connection.fetch(_READ, after, limit, user_id)
    entries = [(row["position"], row["content"]) for row in rows if row["position"] is not None]
    if len(entries) == limit:
        return entries, entries[-1][0]
    return entries, max(after, *(row["last_position"] for row in rows[:1]), 0)


async def trim(connection: Connection, *, before: datetime, entries: int = 200) -> int:
    """Delete old entries from the first 50 inboxes. Return their number."""
    [row] = await connection.fetch(_TRIM, UUID(int=0), 50, before, entries)
    return row["entries"]


async def note_alive(connection: Connection, process_id: UUID) -> None:
    """Say that a process is alive."""
    await connection.execute(_NOTE_ALIVE, process_id)


def encode(user_id: UUID, position: int, message: tuple[UUID, UUID, int, UUID, str, datetime]) -> str:
    """Return the line of a hint: of a new message, which was the only kind."""
    message_id, conversation_id, seq, author_id, content, created_at = message
    values = (
        user_id.hex,
        position,
        message_id.hex,
        conversation_id.hex,
        seq,
        author_id.hex,
        content,
        (created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1),
    )
    return orjson.dumps(values).decode()


def decode(line: str) -> tuple[UUID, int, tuple[Any, ...]]:
    """Decode a hint: the user, the position and the fields of the message.

    Raises:
        ValueError: the line is not an encoded hint, so the user is woken.
    """
    try:
        user_id, position, message_id, conversation_id, seq, author_id, content, created = orjson.loads(line)
        message = (
            UUID(message_id),
            UUID(conversation_id),
            int(seq),
            UUID(author_id),
            str(content),
            datetime(1970, 1, 1, tzinfo=UTC) + created * timedelta(milliseconds=1),
        )
        return UUID(user_id), int(position), message
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a hint: {line!r:.80}") from error
