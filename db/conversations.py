"""Statements about conversations and their participants."""

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from asyncpg import Record
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects import postgresql

from db import message_pages
from db.as_seen import AS_SEEN, HAS_INBOX
from db.asked_pages import AskedPage
from db.columns import Columns
from db.ids import new_id
from db.includes import NO_CONVERSATION_INCLUDES, ConversationIncludes, Joins, MessageIncludes
from db.prefetched import Prefetched
from db.records import Conversation, Participant
from db.statements import Connection, Statement, uuids
from db.tables import conversations, participants, users
from db.users import USER, UserGone

_CONVERSATION = Columns(Conversation)
# Whether the viewer has conversations before a page.
_HAS_PREVIOUS = f"""
    EXISTS (
        SELECT FROM participants
        WHERE participants.user_id = :viewer AND participants.last_position >= :before AND {HAS_INBOX}
    )
"""

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
      AND (participants.last_position > 0 OR participants.has_opened) AND {HAS_INBOX}
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


@cache
def _by_ids(includes: ConversationIncludes) -> tuple[Statement, Joins]:
    joins = Joins()
    joins.include_with_conversations("seen", includes)
    statement = Statement(
        text(f"""
        SELECT seen.*{joins.columns}
        FROM (
            SELECT {AS_SEEN}
            FROM participants JOIN conversations ON conversations.id = participants.conversation_id
            WHERE participants.user_id = :viewer AND conversations.id = ANY(CAST(:ids AS uuid[]))
              AND {HAS_INBOX}
        ) AS seen
        {joins.sql}
        """)
    )
    return statement, joins


async def by_ids(
    connection: Connection,
    viewer: UUID,
    ids: Sequence[UUID],
    includes: ConversationIncludes = NO_CONVERSATION_INCLUDES,
    prefetched: Prefetched | None = None,
) -> Sequence[Conversation]:
    """Return the conversations in which the viewer participates, in no particular order.

    Included objects are added to `prefetched`.
    """
    statement, joins = _by_ids(includes)
    rows = await statement.fetch(connection, viewer=viewer, ids=ids)
    read = list(map(_CONVERSATION.reader(rows), rows))
    if prefetched is not None:
        _take(read, rows, joins, prefetched)
    return read


@cache
def _with_page(
    is_from_end: bool, includes: ConversationIncludes, of_messages: MessageIncludes
) -> tuple[Statement, Joins, Joins]:
    of_conversation, of_page = Joins(), Joins()
    of_conversation.include_with_conversations("seen", includes)
    of_page.include_with_messages("page", of_messages, message_pages.PREFIX)
    statement = Statement(
        text(f"""
        SELECT conversation.*, {message_pages.columns(of_page)}
        FROM (
            SELECT seen.*, {message_pages.ends_of("seen.id")}, CAST(:size AS bigint) AS size,
                   CAST(:after AS bigint) AS after, CAST(:before AS bigint) AS before
                   {of_conversation.columns}
            FROM (
                SELECT {AS_SEEN}
                FROM participants JOIN conversations ON conversations.id = participants.conversation_id
                WHERE participants.user_id = :viewer AND conversations.id = :id AND {HAS_INBOX}
            ) AS seen
            {of_conversation.sql}
            -- Without OFFSET, this would be read again for each message of the page.
            OFFSET 0
        ) AS conversation
        {message_pages.joined("conversation", is_from_end=is_from_end, conversation_id="conversation.id")}
        {of_page.sql}
        ORDER BY page.seq
        """)
    )
    return statement, of_conversation, of_page


async def with_page(
    connection: Connection,
    viewer: UUID,
    conversation_id: UUID,
    asked: AskedPage,
    *,
    includes: ConversationIncludes,
    of_messages: MessageIncludes,
    prefetched: Prefetched,
) -> Conversation | None:
    """Return the conversation if the viewer participates in it.

    The page of its messages and all included objects are added to `prefetched`.
    """
    statement, of_conversation, of_page = _with_page(asked.is_from_end, includes, of_messages)
    rows = await statement.fetch(
        connection,
        viewer=viewer,
        id=conversation_id,
        after=asked.after,
        before=asked.before,
        size=asked.size,
    )
    if not rows:
        return None
    conversation = _CONVERSATION.read(rows[0])
    _take([conversation], rows[:1], of_conversation, prefetched)
    prefetched.pages[conversation.id, asked] = message_pages.read(rows, asked, of_page, prefetched)
    return conversation


@cache
def _recent(condition: str, has_previous: str, includes: ConversationIncludes) -> tuple[Statement, Joins]:
    joins = Joins()
    joins.include_with_conversations("page", includes)
    statement = Statement(
        text(f"""
        SELECT page.*, ends.has_previous{joins.columns}
        FROM (SELECT {has_previous} AS has_previous) AS ends LEFT JOIN (
            SELECT {AS_SEEN}
            FROM participants JOIN conversations ON conversations.id = participants.conversation_id
            WHERE participants.user_id = :viewer AND participants.last_position > 0 {condition}
              AND {HAS_INBOX}
            ORDER BY participants.last_position DESC
            LIMIT :limit
        ) AS page ON true
        {joins.sql}
        ORDER BY page.last_position DESC
        """)
    )
    return statement, joins


async def recent(
    connection: Connection,
    viewer: UUID,
    *,
    before: int | None,
    limit: int,
    includes: ConversationIncludes = NO_CONVERSATION_INCLUDES,
    prefetched: Prefetched | None = None,
) -> tuple[Sequence[Conversation], bool]:
    """Return at most `limit` of the viewer's conversations, the most recently active first.

    `before` is a `last_position`, or None to start with the newest. Also return whether the list has
    conversations at or before that position. Conversations without a message are left out. Included objects
    are added to `prefetched`. The statement reads one range of the index (user_id, last_position).
    """
    if before is None:
        statement, joins = _recent("", "false", includes)
        rows = await statement.fetch(connection, viewer=viewer, limit=limit)
    else:
        statement, joins = _recent("AND participants.last_position < :before", _HAS_PREVIOUS, includes)
        rows = await statement.fetch(connection, viewer=viewer, limit=limit, before=before)
    has_previous: bool = rows[0]["has_previous"]
    if rows[0]["id"] is None:
        return [], has_previous
    read = list(map(_CONVERSATION.reader(rows), rows))
    if prefetched is not None:
        _take(read, rows, joins, prefetched)
    return read, has_previous


def _take(
    conversations: Sequence[Conversation], rows: Sequence[Record], joins: Joins, prefetched: Prefetched
) -> None:
    prefetched.conversations.update((each.id, each) for each in conversations)
    joins.take(rows, prefetched)


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
