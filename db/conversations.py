"""Statements about conversations and their participants."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects import postgresql

from db.columns import Columns
from db.ids import new_id
from db.records import Conversation, Message, Participant, RecentConversation, User
from db.statements import Connection, Statement, uuids
from db.tables import conversations, participants, users
from db.users import USER, UserGone


def unread_count(conversation: str, participant: str) -> str:
    """Return the SQL of the number of messages that a participant has not read.

    The arguments name tables or subqueries, with the columns of `conversations` and `participants`.
    """
    # Everything that sends, reads or deletes messages keeps the participant's count, except for the deletion
    # of a user together with their messages. While a pair is complete, this has not happened. Otherwise the
    # messages that remain are counted.
    return f"""
        CASE
            WHEN {conversation}.last_seq = {participant}.read_seq THEN 0
            WHEN {conversation}.pair_key IS NOT NULL AND EXISTS (
                SELECT FROM participants AS other
                WHERE other.conversation_id = {conversation}.id AND other.user_id <> {participant}.user_id
            ) THEN {participant}.unread_count
            ELSE (
                SELECT count(*) FROM messages
                WHERE messages.conversation_id = {conversation}.id
                  AND messages.seq > {participant}.read_seq AND messages.deleted_at IS NULL
            )
        END
    """


# The columns of a conversation as one of its participants sees it.
_AS_SEEN = f"""
    conversations.id, conversations.last_seq, participants.read_seq, participants.last_position,
    {unread_count("conversations", "participants")} AS unread_count
"""
# A removed user, whose token may be cached for a few seconds, sees none.
_HAS_INBOX = "EXISTS (SELECT FROM inboxes WHERE inboxes.user_id = :viewer)"
_CONVERSATION = Columns(Conversation)
_NEWEST_MESSAGE = Columns(Message, prefix="newest_")
_OTHER = Columns(User, prefix="other_")

_MAKE_PAIR = Statement(
    postgresql.insert(conversations)
    .values(id=bindparam("id"), pair_key=bindparam("pair_key"))
    .on_conflict_do_nothing(index_elements=[conversations.c.pair_key])
    .returning(conversations.c.id)
)
_OF_PAIR = Statement(select(conversations.c.id).where(conversations.c.pair_key == bindparam("pair_key")))
# The users cannot be removed before the transaction ends.
_JOIN = Statement(
    text("""
        INSERT INTO participants (conversation_id, user_id, has_opened)
        SELECT CAST(:conversation_id AS uuid), id, id = :opener FROM (
            SELECT id FROM users WHERE id = ANY(CAST(:user_ids AS uuid[])) AND removed_at IS NULL
            ORDER BY id FOR KEY SHARE
        ) AS kept
    """)
)


# The conversation of a pair, unless the viewer does not know of it yet.
_KNOWN_PAIR = Statement(
    text(f"""
    SELECT conversations.id
    FROM conversations JOIN participants ON participants.conversation_id = conversations.id
    WHERE conversations.pair_key = :pair_key AND participants.user_id = :viewer
      AND (participants.last_position > 0 OR participants.has_opened) AND {_HAS_INBOX}
""")
)
# No other row is locked afterwards, so this cannot be part of a deadlock.
_OPEN = Statement(
    text("""
    UPDATE participants SET has_opened = true
    WHERE conversation_id = :conversation_id AND user_id = :opener AND NOT has_opened
    RETURNING last_position = 0 AS is_new
""")
)


def _pair_key(one: UUID, other: UUID) -> str:
    return ":".join(sorted((str(one), str(other))))


async def known_pair(connection: Connection, viewer: UUID, other: UUID) -> UUID | None:
    """Return the conversation of the two users.

    None if there is none, or if the viewer has not opened it and it has no messages, so that they do not know
    of it.
    """
    return await _KNOWN_PAIR.fetchval(connection, viewer=viewer, pair_key=_pair_key(viewer, other))


async def open_pair(connection: Connection, opener: UUID, other: UUID) -> tuple[UUID, bool]:
    """Return the conversation of the two users, and whether the opener did not know of it.

    A conversation that only the other user has opened is new to the opener if it has no messages, although
    its ID and `joined_at` contain an earlier time. The opener sees it before it has messages, and is notified
    if the other user changes. Simultaneous calls, in either order of the users, return the same one.

    Raises:
        UserGone: one of the users has been removed. The transaction must be rolled back.
    """
    pair_key = _pair_key(opener, other)
    made: UUID | None = await _MAKE_PAIR.fetchval(connection, id=new_id(), pair_key=pair_key)
    if made is None:
        found: UUID = await _OF_PAIR.fetchval(connection, pair_key=pair_key)
        is_new: bool | None = await _OPEN.fetchval(connection, conversation_id=found, opener=opener)
        return found, is_new is True
    if await _JOIN.execute(connection, conversation_id=made, opener=opener, user_ids=[opener, other]) < 2:
        raise UserGone(pair_key)
    return made, True


_BY_IDS = Statement(
    text(f"""
    SELECT {_AS_SEEN}
    FROM participants JOIN conversations ON conversations.id = participants.conversation_id
    WHERE participants.user_id = :viewer AND conversations.id = ANY(CAST(:ids AS uuid[]))
      AND {_HAS_INBOX}
""")
)


async def by_ids(connection: Connection, viewer: UUID, ids: Sequence[UUID]) -> Sequence[Conversation]:
    """Return the conversations in which the viewer participates, in no particular order."""
    rows = await _BY_IDS.fetch(connection, viewer=viewer, ids=ids)
    return list(map(_CONVERSATION.reader(rows), rows))


def _recent(condition: str) -> Statement:
    # The other participant and the newest message are looked up for each row of the page: LIMIT 1 keeps the
    # planner from reading whole tables instead.
    return Statement(
        text(f"""
        SELECT page.*, {_OTHER.sql("other")}, {_NEWEST_MESSAGE.sql("newest")}
        FROM (
            SELECT {_AS_SEEN}
            FROM participants JOIN conversations ON conversations.id = participants.conversation_id
            WHERE participants.user_id = :viewer AND participants.last_position > 0 {condition}
              AND {_HAS_INBOX}
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
            SELECT * FROM users WHERE users.id = single.user_id LIMIT 1
        ) AS other ON true
        LEFT JOIN LATERAL (
            SELECT * FROM messages
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

    `before` is a `last_position`, or None to start with the newest. Conversations without a message are left
    out. The statement reads one range of the index (user_id, last_position).
    """
    if before is None:
        rows = await _NEWEST.fetch(connection, viewer=viewer, limit=limit)
    else:
        rows = await _BEFORE.fetch(connection, viewer=viewer, limit=limit, before=before)
    conversation, other, newest = (
        _CONVERSATION.reader(rows),
        _OTHER.reader(rows),
        _NEWEST_MESSAGE.reader(rows),
    )
    return [
        RecentConversation(
            conversation(row),
            other(row) if row["other_id"] else None,
            newest(row) if row["newest_id"] else None,
        )
        for row in rows
    ]


_PARTICIPANTS_OF = Statement(
    select(
        participants.c.conversation_id,
        participants.c.read_seq,
        participants.c.joined_at,
        *USER.of(users),
    )
    .join(users)
    .where(participants.c.conversation_id == func.any(uuids("ids")))
    .order_by(participants.c.joined_at, participants.c.user_id)
)


async def participants_of(connection: Connection, ids: Sequence[UUID]) -> Sequence[Participant]:
    """Return all participants of the conversations, ordered by the time they joined and their ID."""
    rows = await _PARTICIPANTS_OF.fetch(connection, ids=ids)
    user = USER.reader(rows)
    return [Participant(row["conversation_id"], user(row), row["read_seq"], row["joined_at"]) for row in rows]
