"""The inbox: a durable, ordered log of what reaches each user. `db.inbox_log` reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from asyncpg import DivisionByZeroError, UniqueViolationError
from sqlalchemy import func, select, text, update

from db.appending import ENTRIES_OF_MESSAGES, Counting, appending
from db.entries import MESSAGE_CREATED, Appended, tag_of
from db.ids import new_id
from db.messages import MESSAGE
from db.records import InboxState, Message, UnreadTotals
from db.statements import Connection, Statement, uuids
from db.tables import inbox_epoch, inboxes
from db.users import UserGone


class IdempotencyKeyUsed(Exception):
    """The author has already stored a message with this key."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to store."""

    conversation_id: UUID
    author_id: UUID
    content: str
    idempotency_key: UUID | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A stored message, and its position in the inbox of each participant."""

    message: Message
    positions: Mapping[UUID, int]

    @property
    def appended(self) -> Appended:
        """The message as an entry."""
        message = self.message
        return Appended(
            MESSAGE_CREATED,
            message.conversation_id,
            message.id,
            message.author_id,
            message.created_at,
            self.positions,
            message,
        )


class NotStored(Enum):
    """Why a message was not stored."""

    NO_CONVERSATION = "the author does not participate in a conversation with this ID"
    KEY_USED = "the author has already stored a message with this key"


# A participant's mark is moved by their own message, so only messages of others are after it, and one count
# is enough.
_ONE_TO_INBOXES = appending(
    ENTRIES_OF_MESSAGES,
    counting=Counting(
        rows="SELECT conversation_id, user_id, seq, author_id FROM arriving",
        unread_count="""
            CASE WHEN change.author_id = change.user_id THEN 0 ELSE participants.unread_count + 1 END
        """,
        read_seq="CASE WHEN change.author_id = change.user_id THEN change.seq END",
    ),
    moves="SELECT conversation_id, user_id, position FROM arrived",
)
_DELIVER = Statement(
    text(f"""
    WITH
    -- Lock the conversation and take the next number, if the author participates.
    conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1
        WHERE id = :conversation_id AND EXISTS (
            SELECT FROM participants WHERE conversation_id = :conversation_id AND user_id = :author_id)
        RETURNING id, last_seq
    ),
    -- Store the message.
    message AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key)
        SELECT :message_id, id, last_seq, :author_id, :content, CAST(:idempotency_key AS uuid)
        FROM conversation
        RETURNING {MESSAGE.sql("messages")}
    ),
    -- One row for each participant.
    arriving AS (
        SELECT participants.user_id, 1 AS nth, message.id, message.conversation_id, message.seq,
               message.author_id
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
    ),
    {_ONE_TO_INBOXES}
    -- A removed author has no inbox, also if they were removed while this waited for locks. Then nothing may
    -- be stored, so this divides by zero: no expression of PostgreSQL raises another error.
    SELECT {MESSAGE.sql("message")}, arrived.user_id, arrived.position
    FROM message LEFT JOIN arrived ON arrived.id = message.id
    WHERE message.seq / (SELECT count(*) FROM advanced WHERE user_id = :author_id) > 0
""")
)


async def deliver(
    connection: Connection,
    conversation_id: UUID,
    author_id: UUID,
    content: str,
    idempotency_key: UUID | None = None,
) -> Delivered | None:
    """Store a message and append it to the inbox of every participant, including the author.

    None if the author does not participate in a conversation with this ID, or has been removed: then the
    transaction has failed.

    Raises:
        IdempotencyKeyUsed: nothing is stored, and the transaction has failed.
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
    except DivisionByZeroError:
        return None
    if not rows:
        return None
    return Delivered(MESSAGE.read(rows[0]), {row["user_id"]: row["position"] for row in rows})


_ALL_TO_INBOXES = appending(
    ENTRIES_OF_MESSAGES,
    counts="SELECT user_id, count(*) FROM arriving GROUP BY user_id",
    counting=Counting(
        # For each participant, their last message, and how many of others come after it.
        rows="""
            SELECT conversation_id, user_id, max(own_seq) AS own_seq,
                   count(*) FILTER (WHERE author_id <> user_id AND (own_seq IS NULL OR seq > own_seq))
                       AS unread
            FROM (
                SELECT arriving.*, max(seq) FILTER (WHERE author_id = user_id)
                                       OVER (PARTITION BY conversation_id, user_id) AS own_seq
                FROM arriving
            ) AS arriving_with_own
            GROUP BY conversation_id, user_id
        """,
        unread_count="""
            CAST(CASE WHEN change.own_seq IS NULL THEN participants.unread_count ELSE 0 END + change.unread
                 AS integer)
        """,
        read_seq="change.own_seq",
        many=True,
    ),
    moves="""
        SELECT conversation_id, user_id, max(position) AS position FROM arrived
        GROUP BY conversation_id, user_id
    """,
)
# The same for any number of messages, which is cheaper than a statement for each from two messages on. A row
# that several of them change is locked and changed once. The messages of a conversation get the same time,
# which is taken while the conversation is locked, so that their times follow `seq`.
_DELIVER_ALL = Statement(
    text(f"""
    WITH
    -- The batch. `place` numbers its messages from 1.
    outgoing AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:conversation_ids AS uuid[]), CAST(:author_ids AS uuid[]),
            CAST(:contents AS text[]), CAST(:keys AS uuid[])
        ) WITH ORDINALITY AS outgoing (id, conversation_id, author_id, content, idempotency_key, place)
    ),
    -- The messages whose author participates and has an inbox, and whether their key has been used, in the
    -- batch or before.
    permitted AS (
        SELECT outgoing.*, outgoing.idempotency_key IS NOT NULL AND (
            row_number() OVER (PARTITION BY author_id, idempotency_key ORDER BY place) > 1
            OR EXISTS (SELECT FROM messages WHERE messages.author_id = outgoing.author_id
                                              AND messages.idempotency_key = outgoing.idempotency_key)
        ) AS has_used_key
        FROM outgoing JOIN participants ON participants.conversation_id = outgoing.conversation_id
                                       AND participants.user_id = outgoing.author_id
        JOIN inboxes ON inboxes.user_id = outgoing.author_id
    ),
    -- The messages to store, numbered within each conversation.
    numbered AS (
        SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY place) AS nth
        FROM permitted WHERE NOT has_used_key
    ),
    -- Lock the conversations, in the order of their IDs.
    locked_conversations AS (
        SELECT conversations.id, added.count FROM conversations
        JOIN (SELECT conversation_id, count(*) FROM numbered GROUP BY conversation_id) AS added
          ON added.conversation_id = conversations.id
        ORDER BY conversations.id
        FOR NO KEY UPDATE OF conversations
    ),
    -- Advance each by the count of its messages; return where it stood before, and the time.
    conversation AS (
        UPDATE conversations SET last_seq = conversations.last_seq + locked.count
        FROM locked_conversations AS locked WHERE conversations.id = locked.id
        RETURNING conversations.id, conversations.last_seq - locked.count AS last_seq,
                  CAST(clock_timestamp() AS timestamptz(3)) AS now
    ),
    -- Give each message its number and time.
    message AS (
        SELECT numbered.*, last_seq + nth AS seq, now AS created_at
        FROM numbered JOIN conversation ON conversation.id = numbered.conversation_id
    ),
    -- Store the messages, in the order of the idempotency keys.
    stored AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key, created_at)
        SELECT id, conversation_id, seq, author_id, content, idempotency_key, created_at
        FROM message ORDER BY author_id, idempotency_key
        RETURNING id
    ),
    -- One row for each message and participant. The count has all messages stored before inboxes are locked.
    arriving AS (
        SELECT participants.user_id, message.place, message.id, message.conversation_id, message.seq,
               message.author_id, message.created_at,
               row_number() OVER (PARTITION BY participants.user_id ORDER BY message.place) AS nth
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
        WHERE (SELECT count(*) FROM stored) > 0
    ),
    {_ALL_TO_INBOXES}
    -- As for one message, this fails if an author has been removed while it waited for locks.
    SELECT place, seq, created_at, array_agg(user_id) AS user_ids, array_agg(position) AS positions
    FROM arrived
    WHERE NOT EXISTS (
        SELECT FROM message
        WHERE 1 / CASE WHEN author_id IN (SELECT user_id FROM advanced) THEN 1 ELSE 0 END = 0
    )
    GROUP BY place, seq, created_at
    UNION ALL SELECT place, NULL, NULL, NULL, NULL FROM permitted WHERE has_used_key
""")
)


async def deliver_all(connection: Connection, batch: Sequence[Outgoing]) -> Sequence[Delivered | NotStored]:
    """Store the messages in one statement, with the same results as `deliver` for one after the other.

    Raises:
        asyncpg.UniqueViolationError: another transaction has just stored the key of one of several messages.
            Nothing is stored.
        asyncpg.DivisionByZeroError: the author of one of several messages has been removed in the meantime.
            Nothing is stored.
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
    outcomes: list[Delivered | NotStored] = [NotStored.NO_CONVERSATION] * len(batch)
    for row in rows:
        index: int = row["place"] - 1
        if row["seq"] is None:
            outcomes[index] = NotStored.KEY_USED
            continue
        sent = batch[index]
        message = Message(
            id=ids[index],
            conversation_id=sent.conversation_id,
            seq=row["seq"],
            author_id=sent.author_id,
            content=sent.content,
            created_at=row["created_at"],
        )
        outcomes[index] = Delivered(message, dict(zip(row["user_ids"], row["positions"], strict=True)))
    return outcomes


async def _deliver_alone(connection: Connection, message: Outgoing) -> Delivered | NotStored:
    try:
        delivered = await deliver(
            connection, message.conversation_id, message.author_id, message.content, message.idempotency_key
        )
    except IdempotencyKeyUsed:
        return NotStored.KEY_USED
    return delivered or NotStored.NO_CONVERSATION


_STATE = Statement(
    text("""
    SELECT (SELECT epoch FROM inbox_epoch) AS epoch, inboxes.last_position, inboxes.trimmed_to,
           inboxes.unread_conversations, inboxes.unread_messages,
           coalesce(entry.message_id, entry.subject_id) AS subject_id,
           coalesce(entry.created_at, messages.created_at) AS created_at
    FROM inboxes
    LEFT JOIN inbox_entries AS entry ON entry.user_id = inboxes.user_id
                                    AND entry.position = inboxes.last_position
    LEFT JOIN messages ON messages.id = entry.message_id
    WHERE inboxes.user_id = :user_id
""")
)


async def state(connection: Connection, user_id: UUID) -> InboxState:
    """Return the state of the user's inbox.

    Raises:
        UserGone: the user does not exist, or has been removed.
    """
    row = await _STATE.fetchrow(connection, user_id=user_id)
    if row is None:
        raise UserGone(str(user_id))
    unread = UnreadTotals(row["unread_conversations"], row["unread_messages"])
    tag = None if row["created_at"] is None else tag_of(row["subject_id"], row["created_at"])
    return InboxState(row["epoch"], row["last_position"], row["trimmed_to"], tag, unread)


@dataclass(frozen=True, slots=True)
class LastPositions:
    """The last position of inboxes, by user ID, and of which server and epoch they are."""

    server_started_at: datetime
    epoch: UUID
    by_user: Mapping[UUID, int]


# One row: reading many takes twice as long.
_LAST_POSITIONS = Statement(
    select(
        func.pg_postmaster_start_time().label("server_started_at"),
        select(inbox_epoch.c.epoch).scalar_subquery().label("epoch"),
        func.array_agg(inboxes.c.user_id).label("user_ids"),
        func.array_agg(inboxes.c.last_position).label("positions"),
    ).where(inboxes.c.user_id == func.any(uuids("user_ids")))
)


async def last_positions(connection: Connection, user_ids: Sequence[UUID]) -> LastPositions:
    """Return the last position of each of the inboxes."""
    [row] = await _LAST_POSITIONS.fetch(connection, user_ids=user_ids)
    found: Sequence[UUID] = row["user_ids"] or ()
    positions: Sequence[int] = row["positions"] or ()
    return LastPositions(row["server_started_at"], row["epoch"], dict(zip(found, positions, strict=True)))


_RENEW_EPOCH = Statement(update(inbox_epoch).values(epoch=func.gen_random_uuid()))


async def renew_epoch(connection: Connection) -> None:
    """Begin a new epoch, which invalidates all cursors."""
    await _RENEW_EPOCH.execute(connection)
