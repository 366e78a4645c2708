"""Statements about conversations and their participants."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import ForeignKeyViolationError, Record
from sqlalchemy import BigInteger, bindparam, func, literal_column, select, text, update
from sqlalchemy.dialects import postgresql

from db.ids import new_id
from db.records import Conversation, Message, Participant, RecentConversation, User
from db.statements import Connection, Statement, uuids
from db.tables import conversations, participants, users
from db.users import USER_COLUMNS, UserGone

# Messages are numbered without gaps until an author is deleted, and their messages with them. As long as both
# of two are there, the numbers say how many are unread; otherwise those that are left are counted.
_UNREAD_COUNT = """
    CASE
        WHEN conversations.last_seq = participants.read_seq THEN 0
        WHEN conversations.pair_key IS NOT NULL AND EXISTS (
            SELECT FROM participants AS other
            WHERE other.conversation_id = conversations.id AND other.user_id <> participants.user_id
        ) THEN conversations.last_seq - participants.read_seq
        ELSE (
            SELECT count(*) FROM messages
            WHERE messages.conversation_id = conversations.id AND messages.seq > participants.read_seq
        )
    END
"""
_AS_SEEN = (
    conversations.c.id,
    conversations.c.last_seq,
    participants.c.read_seq,
    participants.c.last_position,
    literal_column(_UNREAD_COUNT, BigInteger).label("unread_count"),
)

_MAKE_PAIR = Statement(
    postgresql.insert(conversations)
    .values(id=bindparam("id"), pair_key=bindparam("pair_key"))
    .on_conflict_do_nothing(index_elements=[conversations.c.pair_key])
    .returning(conversations.c.id)
)
_OF_PAIR = Statement(select(conversations.c.id).where(conversations.c.pair_key == bindparam("pair_key")))
_JOIN = Statement(
    text("""
        INSERT INTO participants (conversation_id, user_id)
        SELECT CAST(:conversation_id AS uuid), unnest(CAST(:user_ids AS uuid[]))
    """)
)


async def open_pair(connection: Connection, one: UUID, other: UUID) -> tuple[UUID, bool]:
    """Return the conversation of these two users, and whether it was made just now.

    However many open it at once, from either side, they get the same one.

    Raises:
        UserGone: one of them has been removed; the transaction is then over.
    """
    pair_key = ":".join(sorted((str(one), str(other))))
    made: UUID | None = await _MAKE_PAIR.fetchval(connection, id=new_id(), pair_key=pair_key)
    if made is None:
        return await _OF_PAIR.fetchval(connection, pair_key=pair_key), False
    try:
        await _JOIN.execute(connection, conversation_id=made, user_ids=[one, other])
    except ForeignKeyViolationError as error:
        if error.constraint_name == "participants_user_id_fkey":
            raise UserGone(pair_key) from error
        raise
    return made, True


_BY_IDS = Statement(
    select(*_AS_SEEN)
    .join(participants)
    .where(participants.c.user_id == bindparam("viewer"), conversations.c.id == func.any(uuids("ids")))
)


async def by_ids(connection: Connection, viewer: UUID, ids: Sequence[UUID]) -> Sequence[Conversation]:
    """Return those of the conversations that the viewer takes part in, in any order."""
    return [Conversation(*row) for row in await _BY_IDS.fetch(connection, viewer=viewer, ids=ids)]


def _recent(condition: str) -> Statement:
    # Who and what belongs to each row is looked up row by row, for as few rows as are asked for: LIMIT 1
    # keeps the planner from reading whole tables instead.
    return Statement(
        text(f"""
        SELECT page.*, other.id, other.username, other.avatar_url,
               newest.id, newest.author_id, newest.content, newest.created_at
        FROM (
            SELECT conversations.id, conversations.last_seq, participants.read_seq,
                   participants.last_position, {_UNREAD_COUNT} AS unread_count
            FROM participants JOIN conversations ON conversations.id = participants.conversation_id
            WHERE participants.user_id = :viewer AND participants.last_position > 0 {condition}
            ORDER BY participants.last_position DESC
            LIMIT :limit
        ) AS page
        LEFT JOIN LATERAL (
            SELECT (array_agg(two.user_id))[1] AS user_id FROM (
                SELECT user_id FROM participants
                WHERE conversation_id = page.id AND user_id <> :viewer
                LIMIT 2
            ) AS two
            HAVING count(*) = 1
        ) AS single ON true
        LEFT JOIN LATERAL (
            SELECT id, username, avatar_url FROM users WHERE users.id = single.user_id LIMIT 1
        ) AS other ON true
        LEFT JOIN LATERAL (
            SELECT id, author_id, content, created_at FROM messages
            WHERE messages.conversation_id = page.id AND messages.seq = page.last_seq
            LIMIT 1
        ) AS newest ON true
        ORDER BY page.last_position DESC
        """)
    )


_NEWEST = _recent("")
_BEFORE = _recent("AND participants.last_position < :before")


async def recent(
    connection: Connection, viewer: UUID, *, before: int | None, limit: int
) -> Sequence[RecentConversation]:
    """Return at most `limit` of the viewer's conversations, the most recently active first.

    `before` is a `last_position`; None starts with the newest. Conversations without a message are left
    out. One range of the index (user_id, last_position), however many conversations there are.
    """
    if before is None:
        rows = await _NEWEST.fetch(connection, viewer=viewer, limit=limit)
    else:
        rows = await _BEFORE.fetch(connection, viewer=viewer, limit=limit, before=before)
    return [_recent_conversation(row) for row in rows]


def _recent_conversation(row: Record) -> RecentConversation:
    conversation = Conversation(*row[:5])
    other = User(*row[5:8]) if row[5] else None
    last_message = Message(row[8], conversation.id, conversation.last_seq, *row[9:]) if row[8] else None
    return RecentConversation(conversation, other, last_message)


_PARTICIPANTS_OF = Statement(
    select(participants.c.conversation_id, participants.c.read_seq, *USER_COLUMNS)
    .join(users)
    .where(participants.c.conversation_id == func.any(uuids("ids")))
    .order_by(participants.c.joined_at, participants.c.user_id)
)


async def participants_of(connection: Connection, ids: Sequence[UUID]) -> Sequence[Participant]:
    """Return everybody who takes part in the conversations, ordered by when they joined and their id."""
    rows = await _PARTICIPANTS_OF.fetch(connection, ids=ids)
    return [Participant(conversation_id, User(*user), read_seq) for conversation_id, read_seq, *user in rows]


_MARK_READ = Statement(
    update(participants)
    .where(
        participants.c.conversation_id == bindparam("of_conversation"),
        participants.c.user_id == bindparam("of_user"),
    )
    .values(read_seq=func.greatest(participants.c.read_seq, bindparam("seq", type_=BigInteger)))
)


async def mark_read(connection: Connection, conversation_id: UUID, user_id: UUID, seq: int) -> None:
    """Note that the user has read up to message `seq`; the mark never moves back."""
    await _MARK_READ.execute(connection, of_conversation=conversation_id, of_user=user_id, seq=seq)
