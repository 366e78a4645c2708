"""What the database contains of a company: conversations, messages, inboxes, read marks and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from db.engine import Database, DatabaseUnavailable
from realtime.backoff import Backoff
from tests.faults.accounts import Company
from tests.faults.operations import State
from tests.support.counts import miscounted


@dataclass(frozen=True)
class Stored:
    """A message in the database."""

    id: UUID
    talk_id: UUID
    seq: int
    author_id: UUID
    state: State


@dataclass(frozen=True)
class Entry:
    """An entry, without its position: what it says is the same in every inbox."""

    kind: int
    conversation_id: UUID | None
    subject_id: UUID
    actor_id: UUID | None
    created_at: object


@dataclass(frozen=True)
class Part:
    """A participant's row."""

    read_seq: int
    unread_count: int


@dataclass(frozen=True)
class Truth:
    """One state of the database."""

    messages: Mapping[UUID, Stored]
    inboxes: Mapping[UUID, Sequence[tuple[int, Entry]]]
    """The entries of each user who has not been removed, by position."""
    ends: Mapping[UUID, int]
    parts: Mapping[tuple[UUID, UUID], Part]
    """By conversation and user."""
    names: Mapping[UUID, str | None]
    """None for a removed user."""
    miscounted: Sequence[object]

    def message(self, message_id: UUID | None) -> Stored | None:
        return None if message_id is None else self.messages.get(message_id)

    def talks(self) -> Mapping[UUID, Sequence[UUID]]:
        """Return the participants of each conversation."""
        found: dict[UUID, list[UUID]] = {}
        for talk_id, user_id in self.parts:
            found.setdefault(talk_id, []).append(user_id)
        return found


_PARTS = """
    SELECT conversation_id, user_id, read_seq, unread_count FROM participants WHERE user_id = ANY($1)
"""
_MESSAGES = """
    SELECT id, conversation_id, seq, author_id, content, version, deleted_at IS NOT NULL AS is_deleted
    FROM messages WHERE conversation_id = ANY($1) ORDER BY conversation_id, seq
"""
_ENTRIES = """
    SELECT entry.user_id, entry.position, entry.kind,
           coalesce(entry.message_id, entry.subject_id) AS subject_id,
           coalesce(entry.conversation_id, messages.conversation_id) AS conversation_id,
           coalesce(entry.actor_id, messages.author_id) AS actor_id,
           coalesce(entry.created_at, messages.created_at) AS created_at
    FROM inbox_entries AS entry LEFT JOIN messages ON messages.id = entry.message_id
    WHERE entry.user_id = ANY($1) ORDER BY entry.user_id, entry.position
"""
_ENDS = "SELECT user_id, last_position FROM inboxes WHERE user_id = ANY($1)"
_NAMES = "SELECT id, username, removed_at FROM users WHERE id = ANY($1)"


async def read_truth(database: Database, company: Company) -> Truth:
    """Read everything in one snapshot. Connections that a fault has broken are replaced."""
    backoff = Backoff()
    while True:
        try:
            return await _read(database, [account.user_id for account in company.accounts])
        except DatabaseUnavailable:
            await backoff.wait()


async def _read(database: Database, people: Sequence[UUID]) -> Truth:
    async with database.snapshot() as connection:
        parts = {
            (row["conversation_id"], row["user_id"]): Part(row["read_seq"], row["unread_count"])
            for row in await connection.fetch(_PARTS, people)
        }
        talks = list({talk_id for talk_id, _ in parts})
        messages = {
            row["id"]: Stored(
                row["id"],
                row["conversation_id"],
                row["seq"],
                row["author_id"],
                State(row["content"], row["version"], row["is_deleted"]),
            )
            for row in await connection.fetch(_MESSAGES, talks)
        }
        ends = {row["user_id"]: row["last_position"] for row in await connection.fetch(_ENDS, people)}
        inboxes: dict[UUID, list[tuple[int, Entry]]] = {user_id: [] for user_id in ends}
        for row in await connection.fetch(_ENTRIES, list(ends)):
            entry = Entry(
                row["kind"], row["conversation_id"], row["subject_id"], row["actor_id"], row["created_at"]
            )
            inboxes[row["user_id"]].append((row["position"], entry))
        names = {
            row["id"]: row["username"] if row["removed_at"] is None else None
            for row in await connection.fetch(_NAMES, people)
        }
        wrong = await miscounted(connection, list(ends))
    return Truth(messages, inboxes, ends, parts, names, wrong)
