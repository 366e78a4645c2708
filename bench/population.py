"""The users and conversations of a run, written to a database of their own."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from db.entries import MESSAGE_UPDATED

# The last character occurs nowhere else in what a server sends, so a search for it finds each message once.
MARK = b"~"
CONTENT = "The build is green again. I had to pin one dependency, the one we never wanted to ~"


@dataclass(frozen=True, slots=True)
class Person:
    """A user who is signed in."""

    user_id: UUID
    token: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two users and their conversation."""

    one: Person
    other: Person
    conversation_id: UUID

    def turned(self) -> "Pair":
        """Return the same pair with author and recipient exchanged."""
        return Pair(self.other, self.one, self.conversation_id)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of each part of a population.

    These are the number of pairs, of conversations of the busy users, of messages of the talkative pairs, of
    messages that each author can delete, and of entries in the inboxes that are replayed.
    """

    pairs: int
    conversations: Sequence[int]
    messages: Sequence[int]
    deletions: int
    replayed: int


@dataclass(frozen=True, slots=True)
class Population:
    """Pairs without messages, users by their number of conversations, and pairs by their number of messages.

    For a talkative pair, the inbox of the second user is as long as the conversation. There are also pairs
    with a message that its author edits, pairs with messages that their author deletes, and readers whose
    inbox has entries of messages, or of edits of one message, with the least number of
    events that a replay of it has.
    """

    pairs: Sequence[Pair]
    busy: Mapping[int, Person]
    talkative: Mapping[int, Pair]
    edited: Sequence[tuple[Pair, UUID]]
    deleted: Sequence[tuple[Pair, Sequence[UUID]]]
    replayed: Mapping[str, tuple[Person, int]]
    replayed_entries: int


_EDITORS = 16


async def settle(url: str, sizes: Sizes) -> Population:
    """Fill a migrated database, and have PostgreSQL update its statistics."""
    rows = _Rows()
    pairs = [rows.pair(f"{number}") for number in range(sizes.pairs)]
    talkative: dict[int, Pair] = {}
    for length in sizes.messages:
        pair = talkative[length] = rows.pair(f"talks-{length}")
        rows.messages(pair, length)
    busy: dict[int, Person] = {}
    editors = [rows.pair(f"edits-{number}") for number in range(_EDITORS)]
    edited = [(pair, message_id) for pair in editors for message_id in rows.messages(pair, 1)]
    deleters = [rows.pair(f"deletes-{number}") for number in range(_EDITORS)]
    deleted = [(pair, rows.messages(pair, sizes.deletions)) for pair in deleters]
    receives, follows = rows.pair("receives"), rows.pair("follows")
    rows.messages(receives, sizes.replayed)
    [message_id] = rows.messages(follows, 1)
    rows.edits(follows, message_id, sizes.replayed - 1)
    # The message and its last edit.
    replayed = {"messages": (receives.other, sizes.replayed), "edits of one message": (follows.other, 2)}
    friends = [friend for pair in pairs for friend in (pair.one, pair.other)]
    friends += [rows.person(f"friend-{number}") for number in range(len(friends), max(sizes.conversations))]
    for length in sizes.conversations:
        viewer = busy[length] = rows.person(f"busy-{length}")
        for friend in friends[:length]:
            rows.messages(Pair(friend, viewer, rows.conversation(friend, viewer)), 1)
    connection = await asyncpg.connect(url)
    try:
        await rows.write(connection)
        # Keeps plans the same during a run.
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return Population(pairs, busy, talkative, edited, deleted, replayed, sizes.replayed)


@dataclass(slots=True)
class _Rows:
    """Rows to write, in the state in which the API would have left them."""

    users: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    sessions: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    conversations: dict[UUID, list[Any]] = field(default_factory=dict[UUID, list[Any]])
    participants: dict[tuple[UUID, UUID], list[Any]] = field(
        default_factory=dict[tuple[UUID, UUID], list[Any]]
    )
    stored: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    entries: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    later_entries: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    positions: dict[UUID, int] = field(default_factory=dict[UUID, int])

    def person(self, name: str) -> Person:
        """Add a user who is signed in for a day."""
        person = Person(uuid7(), secrets.token_urlsafe(32))
        self.users.append((person.user_id, name))
        token_hash = sha256(person.token.encode()).hexdigest()
        expires_at = datetime.now(UTC) + timedelta(days=1)
        self.sessions.append((uuid7(), token_hash, person.user_id, expires_at))
        self.positions[person.user_id] = 0
        return person

    def pair(self, name: str) -> Pair:
        """Add two users with an empty conversation."""
        one, other = self.person(f"one-{name}"), self.person(f"other-{name}")
        return Pair(one, other, self.conversation(one, other))

    def conversation(self, one: Person, other: Person) -> UUID:
        """Add an empty conversation of these two."""
        conversation_id = uuid7()
        pair_key = ":".join(sorted((str(one.user_id), str(other.user_id))))
        self.conversations[conversation_id] = [pair_key, 0]
        for person in (one, other):
            self.participants[conversation_id, person.user_id] = [0, 0, 0]
        return conversation_id

    def messages(self, pair: Pair, count: int) -> Sequence[UUID]:
        """Add messages by the first user of the pair that the second has not read. Return their IDs."""
        conversation = self.conversations[pair.conversation_id]
        ids = [uuid7() for _ in range(count)]
        for message_id in ids:
            conversation[1] += 1
            self.stored.append((message_id, pair.conversation_id, conversation[1], pair.one.user_id, CONTENT))
            for person in (pair.one, pair.other):
                position = self.positions[person.user_id] = self.positions[person.user_id] + 1
                self.entries.append((person.user_id, position, message_id))
                self.participants[pair.conversation_id, person.user_id][1] = position
        self.participants[pair.conversation_id, pair.one.user_id][0] = conversation[1]
        self.participants[pair.conversation_id, pair.other.user_id][2] += count
        return ids

    def edits(self, pair: Pair, message_id: UUID, count: int) -> None:
        """Add the entries of edits of a message by the first user of the pair."""
        now = datetime.now(UTC)
        for _ in range(count):
            for person in (pair.one, pair.other):
                position = self.positions[person.user_id] = self.positions[person.user_id] + 1
                self.later_entries.append(
                    (
                        person.user_id,
                        position,
                        MESSAGE_UPDATED,
                        pair.conversation_id,
                        message_id,
                        pair.one.user_id,
                        now,
                    )
                )

    def inboxes(self) -> Sequence[tuple[Any, ...]]:
        """Return a row for each user: the last position, and the sums of what is unread."""
        unread: dict[UUID, list[int]] = {user_id: [] for user_id in self.positions}
        for (_, user_id), (_, _, count) in self.participants.items():
            if count:
                unread[user_id].append(count)
        return [
            (user_id, position, len(unread[user_id]), sum(unread[user_id]))
            for user_id, position in self.positions.items()
        ]

    async def write(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Copy all rows to the database."""
        tables: Sequence[tuple[str, str, Sequence[tuple[Any, ...]]]] = [
            ("users", "id username", self.users),
            ("inboxes", "user_id last_position unread_conversations unread_messages", self.inboxes()),
            ("sessions", "id token_hash user_id expires_at", self.sessions),
            (
                "conversations",
                "id pair_key last_seq",
                [(key, *values) for key, values in self.conversations.items()],
            ),
            (
                "participants",
                "conversation_id user_id read_seq last_position unread_count",
                [(*keys, *values) for keys, values in self.participants.items()],
            ),
            ("messages", "id conversation_id seq author_id content", self.stored),
            ("inbox_entries", "user_id position message_id", self.entries),
            (
                "inbox_entries",
                "user_id position kind conversation_id subject_id actor_id created_at",
                self.later_entries,
            ),
        ]
        for table, columns, rows in tables:
            await connection.copy_records_to_table(table, columns=columns.split(), records=rows)
