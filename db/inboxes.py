"""The inbox: a durable, ordered log for each user of what has reached them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import bindparam, func, select, text, update

from db.ids import new_id
from db.records import InboxEntry, InboxPage, InboxState, Message
from db.statements import Connection, Statement, uuids
from db.tables import inbox_epoch, inboxes
from db.users import UserGone


class Trimmed(Exception):
    """What is asked for has been dropped, because it was past the retention time."""


class IdempotencyKeyUsed(Exception):
    """The author has stored a message under this key already."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be stored."""

    conversation_id: UUID
    author_id: UUID
    content: str
    idempotency_key: UUID | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A stored message, and its position in the inbox of each participant."""

    message: Message
    positions: Mapping[UUID, int]


class Refused(Enum):
    """Why a message has not been stored."""

    NO_CONVERSATION = "there is none of that id in which the author takes part"
    KEY_USED = "the author has stored a message under this key already"


# Locks are taken in one order, so that two deliveries cannot wait for each other: the conversations by id,
# then the idempotency keys (the messages' rows) in their order, then the inboxes by user id. Each step reads
# from the one before, which is what fixes the order inside one statement. The inboxes stay locked until
# commit, so positions become visible in their own order.
_DELIVER = Statement(
    text("""
    WITH conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1
        WHERE id = :conversation_id AND EXISTS (
            SELECT FROM participants WHERE conversation_id = :conversation_id AND user_id = :author_id)
        RETURNING id, last_seq
    ), message AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key)
        SELECT :message_id, id, last_seq, :author_id, :content, CAST(:idempotency_key AS uuid)
        FROM conversation
        RETURNING id, conversation_id, seq, author_id, content, created_at
    ), locked AS (
        SELECT inboxes.user_id, message.id AS message_id, message.conversation_id, message.seq
        FROM message
        JOIN participants ON participants.conversation_id = message.conversation_id
        JOIN inboxes ON inboxes.user_id = participants.user_id
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ), advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + 1
        FROM locked WHERE inboxes.user_id = locked.user_id
        RETURNING inboxes.user_id, inboxes.last_position,
                  locked.message_id, locked.conversation_id, locked.seq
    ), entries AS (
        INSERT INTO inbox_entries (user_id, position, message_id)
        SELECT user_id, last_position, message_id FROM advanced
    ), marks AS (
        UPDATE participants SET last_position = advanced.last_position,
            read_seq = CASE WHEN participants.user_id = :author_id THEN advanced.seq ELSE read_seq END
        FROM advanced
        WHERE participants.conversation_id = advanced.conversation_id
          AND participants.user_id = advanced.user_id
    )
    SELECT message.id, message.conversation_id, message.seq, message.author_id, message.content,
           message.created_at, advanced.user_id, advanced.last_position
    FROM message JOIN advanced ON advanced.message_id = message.id
""")
)


async def deliver(
    connection: Connection,
    conversation_id: UUID,
    author_id: UUID,
    content: str,
    idempotency_key: UUID | None = None,
) -> Delivered | None:
    """Store a message and append it to the inbox of every participant, the author's too.

    None when there is no such conversation or the author does not take part in it.

    Raises:
        IdempotencyKeyUsed: nothing is stored; the transaction is then over.
    """
    try:
        rows = await _DELIVER.fetch(
            connection,
            conversation_id=conversation_id,
            message_id=new_id(),
            author_id=author_id,
            content=content,
            idempotency_key=idempotency_key,
        )
    except UniqueViolationError as error:
        if error.constraint_name == "messages_author_id_idempotency_key_key":
            raise IdempotencyKeyUsed(str(idempotency_key)) from error
        raise
    if not rows:
        return None
    return Delivered(Message(*rows[0][:6]), {row["user_id"]: row["last_position"] for row in rows})


# The same for any number of messages at once, which from two on costs less than as many statements. A row
# that more than one of them changes is locked and changed once, by how many there are. A conversation's
# messages are of one time, taken while it is locked: time never runs against `seq`.
_DELIVER_ALL = Statement(
    text("""
    WITH outgoing AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:conversation_ids AS uuid[]), CAST(:author_ids AS uuid[]),
            CAST(:contents AS text[]), CAST(:keys AS uuid[])
        ) WITH ORDINALITY AS outgoing (id, conversation_id, author_id, content, idempotency_key, place)
    ), permitted AS (
        SELECT outgoing.*, outgoing.idempotency_key IS NOT NULL AND (
            row_number() OVER (PARTITION BY author_id, idempotency_key ORDER BY place) > 1
            OR EXISTS (SELECT FROM messages WHERE messages.author_id = outgoing.author_id
                                              AND messages.idempotency_key = outgoing.idempotency_key)
        ) AS has_used_key
        FROM outgoing JOIN participants ON participants.conversation_id = outgoing.conversation_id
                                       AND participants.user_id = outgoing.author_id
    ), numbered AS (
        SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY place) AS nth
        FROM permitted WHERE NOT has_used_key
    ), locked_conversations AS (
        SELECT conversations.id, added.count FROM conversations
        JOIN (SELECT conversation_id, count(*) FROM numbered GROUP BY conversation_id) AS added
          ON added.conversation_id = conversations.id
        ORDER BY conversations.id
        FOR NO KEY UPDATE OF conversations
    ), conversation AS (
        UPDATE conversations SET last_seq = conversations.last_seq + locked.count
        FROM locked_conversations AS locked WHERE conversations.id = locked.id
        RETURNING conversations.id, conversations.last_seq - locked.count AS last_seq,
                  CAST(clock_timestamp() AS timestamptz(3)) AS now
    ), message AS (
        SELECT numbered.*, last_seq + nth AS seq, now AS created_at
        FROM numbered JOIN conversation ON conversation.id = numbered.conversation_id
    ), stored AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key, created_at)
        SELECT id, conversation_id, seq, author_id, content, idempotency_key, created_at
        FROM message ORDER BY author_id, idempotency_key
        RETURNING id
    ), arriving AS (
        SELECT participants.user_id, message.place, message.id, message.conversation_id, message.seq,
               message.author_id, message.created_at,
               row_number() OVER (PARTITION BY participants.user_id ORDER BY message.place) AS nth
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
        WHERE (SELECT count(*) FROM stored) > 0
    ), locked_inboxes AS (
        SELECT inboxes.user_id, added.count FROM inboxes
        JOIN (SELECT user_id, count(*) FROM arriving GROUP BY user_id) AS added
          ON added.user_id = inboxes.user_id
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ), advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + locked.count
        FROM locked_inboxes AS locked WHERE inboxes.user_id = locked.user_id
        RETURNING inboxes.user_id, inboxes.last_position - locked.count AS last_position
    ), arrived AS (
        SELECT arriving.*, last_position + nth AS position
        FROM arriving JOIN advanced ON advanced.user_id = arriving.user_id
    ), entries AS (
        INSERT INTO inbox_entries (user_id, position, message_id) SELECT user_id, position, id FROM arrived
    ), marks AS (
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
""")
)


async def deliver_all(connection: Connection, batch: Sequence[Outgoing]) -> Sequence[Delivered | Refused]:
    """Store the messages in one statement as `deliver` does one after the other; return what became of each.

    Raises:
        asyncpg.UniqueViolationError: there are several messages, and another transaction has just stored
            the key of one; nothing is stored.
    """
    if len(batch) == 1:
        return [await _deliver_alone(connection, batch[0])]
    ids = [new_id() for _ in batch]
    rows = await _DELIVER_ALL.fetch(
        connection,
        ids=ids,
        conversation_ids=[each.conversation_id for each in batch],
        author_ids=[each.author_id for each in batch],
        contents=[each.content for each in batch],
        keys=[each.idempotency_key for each in batch],
    )
    outcomes: list[Delivered | Refused] = [Refused.NO_CONVERSATION] * len(batch)
    for place, seq, created_at, user_ids, positions in rows:
        index: int = place - 1
        if seq is None:
            outcomes[index] = Refused.KEY_USED
            continue
        sent = batch[index]
        message = Message(ids[index], sent.conversation_id, seq, sent.author_id, sent.content, created_at)
        outcomes[index] = Delivered(message, dict(zip(user_ids, positions, strict=True)))
    return outcomes


async def _deliver_alone(connection: Connection, message: Outgoing) -> Delivered | Refused:
    try:
        delivered = await deliver(
            connection, message.conversation_id, message.author_id, message.content, message.idempotency_key
        )
    except IdempotencyKeyUsed:
        return Refused.KEY_USED
    return delivered or Refused.NO_CONVERSATION


_STATE = Statement(
    select(
        select(inbox_epoch.c.epoch).scalar_subquery(), inboxes.c.last_position, inboxes.c.trimmed_to
    ).where(inboxes.c.user_id == bindparam("user_id"))
)


async def state(connection: Connection, user_id: UUID) -> InboxState:
    """Return where the user's inbox stands.

    Raises:
        UserGone: there is no such user.
    """
    row = await _STATE.fetchrow(connection, user_id=user_id)
    if row is None:
        raise UserGone(str(user_id))
    return InboxState(*row)


_READ = Statement(
    text("""
    SELECT inboxes.trimmed_to, inboxes.last_position, entry.*
    FROM inboxes LEFT JOIN LATERAL (
        SELECT inbox_entries.position, messages.id, messages.conversation_id, messages.seq,
               messages.author_id, messages.content, messages.created_at
        FROM inbox_entries
        JOIN messages ON messages.id = inbox_entries.message_id
        JOIN participants ON participants.conversation_id = messages.conversation_id
                         AND participants.user_id = inbox_entries.user_id
        WHERE inbox_entries.user_id = inboxes.user_id AND inbox_entries.position > :after
        ORDER BY inbox_entries.position
        LIMIT :limit
    ) AS entry ON true
    WHERE inboxes.user_id = :user_id
    ORDER BY entry.position
""")
)


async def read(connection: Connection, user_id: UUID, *, after: int, limit: int) -> InboxPage:
    """Return at most `limit` entries with a position over `after`, in order.

    Only what the user may see: messages of conversations that they take part in. A page of fewer entries
    reaches to the end of the inbox.

    Raises:
        Trimmed: what follows `after` is no longer kept.
    """
    rows = await _READ.fetch(connection, user_id=user_id, after=after, limit=limit)
    if rows and rows[0]["trimmed_to"] > after:
        raise Trimmed(f"kept after {rows[0]['trimmed_to']}, asked for after {after}")
    entries = [InboxEntry(row[2], Message(*row[3:])) for row in rows if row[2] is not None]
    if len(entries) == limit:
        return InboxPage(entries, entries[-1].position)
    return InboxPage(entries, max(after, *(row["last_position"] for row in rows[:1]), 0))


_LAST_POSITIONS = Statement(
    select(inboxes.c.user_id, inboxes.c.last_position).where(inboxes.c.user_id == func.any(uuids("user_ids")))
)


async def last_positions(connection: Connection, user_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """Return where each of the inboxes ends; one statement for all."""
    rows = await _LAST_POSITIONS.fetch(connection, user_ids=user_ids)
    return {row["user_id"]: row["last_position"] for row in rows}


_RENEW_EPOCH = Statement(update(inbox_epoch).values(epoch=func.gen_random_uuid()))


async def renew_epoch(connection: Connection) -> None:
    """Begin another life of the database: every cursor handed out so far is worth nothing."""
    await _RENEW_EPOCH.execute(connection)
