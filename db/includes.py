"""Eager loading: related objects that statements join to messages and conversations."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

import orjson
from asyncpg import Record

from db.as_seen import AS_SEEN, HAS_INBOX
from db.columns import Columns
from db.prefetched import Prefetched
from db.records import Conversation, Message, Participant, User


class MessageIncludes(NamedTuple):
    """What is included with each message."""

    author: bool = False
    idempotency_key: bool = False
    """If the viewer is its author."""
    participants: bool = False
    """Those of its conversation."""
    conversation: "ConversationIncludes | None" = None
    """What is included with its conversation; None if the conversation is not included."""


class ConversationIncludes(NamedTuple):
    """What is included with each conversation."""

    other: bool = False
    """The other participant, if there is exactly one."""
    participants: bool = False
    last_message: MessageIncludes | None = None
    """What is included with the newest message; None if that is not included."""


NO_MESSAGE_INCLUDES = MessageIncludes()
NO_CONVERSATION_INCLUDES = ConversationIncludes()


_Take = Callable[[Sequence[Record], Prefetched], None]

_R = TypeVar("_R", bound=NamedTuple)


class Joins:
    """The columns and joins that a statement adds for its includes.

    Every join finds at most one row, so joins do not change the number of rows.
    """

    def __init__(self) -> None:
        self._needs_viewer = False
        self._columns: list[str] = []
        self._joins: list[str] = []
        self._takes: list[_Take] = []

    @property
    def columns(self) -> str:
        """The columns, each after a comma."""
        return "".join(f", {columns}" for columns in self._columns)

    @property
    def sql(self) -> str:
        """The joins."""
        return "\n".join(self._joins)

    def parameters(self, viewer: UUID) -> dict[str, object]:
        """Return the parameters of the joins by name, for a statement that does not have them itself."""
        return {"viewer": viewer} if self._needs_viewer else {}

    def take(self, rows: Sequence[Record], prefetched: Prefetched) -> None:
        """Add the included objects in the rows to `prefetched`."""
        for take in self._takes:
            take(rows, prefetched)

    def include_with_messages(self, source: str, includes: MessageIncludes, prefix: str = "") -> None:
        """Join what is included with each message of the table or subquery `source`.

        Its columns in the statement's result have the prefix.
        """
        if includes.author:
            self._join_author(source)
        if includes.idempotency_key:
            self._add_key(source, prefix)
        if includes.participants:
            self._join_participants(source, f"{source}.conversation_id", prefix + "conversation_id")
        if includes.conversation is not None:
            self._join_conversation(source, includes.conversation)

    def include_with_conversations(
        self, source: str, includes: ConversationIncludes, prefix: str = ""
    ) -> None:
        """Join what is included with each conversation of the table or subquery `source`.

        Its columns in the statement's result have the prefix.
        """
        if includes.other:
            self._join_other(source, prefix + "id")
        if includes.participants:
            self._join_participants(source, f"{source}.id", prefix + "id")
        if includes.last_message is not None:
            self._join_last_message(source, includes.last_message, prefix + "id")

    # LIMIT 1 makes the planner look up single rows instead of reading whole tables.
    def _join(self, name: str, query: str, columns: str, take: _Take) -> None:
        self._joins.append(f"LEFT JOIN LATERAL ({query} LIMIT 1) AS {name} ON true")
        self._columns.append(columns)
        self._takes.append(take)

    def _join_author(self, source: str) -> None:
        name = f"{source}_author"
        users = Columns(User, prefix=f"{name}_")

        def take(rows: Sequence[Record], prefetched: Prefetched) -> None:
            _take_each(rows, prefetched.users, f"{name}_id", users)

        query = f"SELECT * FROM users WHERE users.id = {source}.author_id"
        self._join(name, query, users.sql(name), take)

    def _add_key(self, source: str, prefix: str) -> None:
        column, id_column = f"{source}_key", f"{prefix}id"

        def take(rows: Sequence[Record], prefetched: Prefetched) -> None:
            prefetched.idempotency_keys.update((row[id_column], row[column]) for row in rows)

        self._needs_viewer = True
        self._columns.append(
            f"CASE WHEN {source}.author_id = :viewer THEN {source}.idempotency_key END AS {column}"
        )
        self._takes.append(take)

    def _join_conversation(self, source: str, includes: ConversationIncludes) -> None:
        name = f"{source}_conversation"
        conversations = Columns(Conversation, prefix=f"{name}_")

        def take(rows: Sequence[Record], prefetched: Prefetched) -> None:
            _take_each(rows, prefetched.conversations, f"{name}_id", conversations)

        query = f"""
            SELECT {AS_SEEN}
            FROM participants JOIN conversations ON conversations.id = participants.conversation_id
            WHERE conversations.id = {source}.conversation_id AND participants.user_id = :viewer
              AND {HAS_INBOX}
        """
        self._needs_viewer = True
        self._join(name, query, conversations.sql(name), take)
        self.include_with_conversations(name, includes, f"{name}_")

    def _join_last_message(self, source: str, includes: MessageIncludes, id_column: str) -> None:
        name = f"{source}_last"
        messages = Columns(Message, prefix=f"{name}_")

        def take(rows: Sequence[Record], prefetched: Prefetched) -> None:
            _take_one_of(rows, prefetched.last_messages, id_column, f"{name}_id", messages)

        query = f"""
            SELECT * FROM messages
            WHERE messages.conversation_id = {source}.id AND messages.seq = {source}.last_seq
        """
        self._join(name, query, messages.sql(name), take)
        self.include_with_messages(name, includes, f"{name}_")

    def _join_other(self, source: str, id_column: str) -> None:
        name = f"{source}_other"
        users = Columns(User, prefix=f"{name}_")

        def take(rows: Sequence[Record], prefetched: Prefetched) -> None:
            _take_one_of(rows, prefetched.others, id_column, f"{name}_id", users)

        query = f"""
            SELECT users.* FROM (
                SELECT (array_agg(two.user_id))[1] AS user_id FROM (
                    SELECT user_id FROM participants
                    WHERE conversation_id = {source}.id AND user_id <> :viewer
                    LIMIT 2
                ) AS two
                HAVING count(*) = 1
            ) AS single JOIN users ON users.id = single.user_id
        """
        self._needs_viewer = True
        self._join(name, query, users.sql(name), take)

    def _join_participants(self, source: str, conversation: str, id_column: str) -> None:
        name = f"{source}_participants"

        def take(rows: Sequence[Record], prefetched: Prefetched) -> None:
            for row in rows:
                conversation_id = row[id_column]
                if conversation_id not in prefetched.participants:
                    prefetched.participants[conversation_id] = _participants(conversation_id, row[name])

        # JSON, because asyncpg would query the types of arrays on each new connection.
        query = f"""
            SELECT json_agg(json_build_array(id, username, avatar_url, removed_at, read_seq, joined_at))
                AS described
            FROM (
                SELECT users.*, participants.read_seq, participants.joined_at
                FROM participants JOIN users ON users.id = participants.user_id
                WHERE participants.conversation_id = {conversation}
                ORDER BY participants.joined_at, participants.user_id
            ) AS each
        """
        self._join(name, query, f"{name}.described AS {name}", take)


def _participants(conversation_id: UUID, described: str | None) -> Sequence[Participant]:
    return [
        Participant(
            conversation_id,
            User(UUID(user_id), username, url, removed and datetime.fromisoformat(removed)),
            read_seq,
            datetime.fromisoformat(joined_at),
        )
        for user_id, username, url, removed, read_seq, joined_at in orjson.loads(described or "[]")
    ]


def _take_each(rows: Sequence[Record], found: dict[UUID, _R], id_column: str, columns: Columns[_R]) -> None:
    """Add the record in each row under its own ID. Many rows may have the same record."""
    read = columns.reader(rows)
    for row in rows:
        record_id = row[id_column]
        if record_id is not None and record_id not in found:
            found[record_id] = read(row)


def _take_one_of(
    rows: Sequence[Record],
    found: dict[UUID, _R | None],
    of_column: str,
    id_column: str,
    columns: Columns[_R],
) -> None:
    """Add the record in each row, or None, under the ID of the object that it belongs to."""
    read = columns.reader(rows)
    for row in rows:
        found[row[of_column]] = None if row[id_column] is None else read(row)
