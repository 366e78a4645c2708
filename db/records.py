"""The rows that `db` functions return, as small immutable records.

Those that come in numbers are named tuples, which take a third of the time to make.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class User(NamedTuple):
    """Somebody with an account."""

    id: UUID
    username: str
    avatar_url: str | None


class Conversation(NamedTuple):
    """A conversation as one of its participants sees it.

    `read_seq` is the last message that participant has read, `last_position` the place of the
    conversation's last message in their inbox, 0 while nothing has been written. `unread_count` counts the
    messages after `read_seq` that still exist.
    """

    id: UUID
    last_seq: int
    read_seq: int
    last_position: int
    unread_count: int


class Participant(NamedTuple):
    """A user's part in a conversation, and how far they have read."""

    conversation_id: UUID
    user: User
    read_seq: int


class Message(NamedTuple):
    """What somebody wrote; `seq` numbers the messages of a conversation 1, 2, 3, ... without holes."""

    id: UUID
    conversation_id: UUID
    seq: int
    author_id: UUID
    content: str
    created_at: datetime


class RecentConversation(NamedTuple):
    """A conversation with what a list shows of it: the other of two (None in a group), and its last message.

    The message is None when whoever wrote it has been removed, and it with them.
    """

    conversation: Conversation
    other: User | None
    last_message: Message | None


class InboxEntry(NamedTuple):
    """A message at its place in one user's inbox; positions count 1, 2, 3, ... without holes."""

    position: int
    message: Message


class InboxPage(NamedTuple):
    """Entries of an inbox in order, and the position up to which there are no others.

    Entries whose message has been deleted are left out, so `up_to` may be past the last one.
    """

    entries: Sequence[InboxEntry]
    up_to: int


@dataclass(frozen=True, slots=True)
class InboxState:
    """Where an inbox stands: entries after `trimmed_to` up to `last_position` can be read."""

    epoch: UUID
    last_position: int
    trimmed_to: int


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in: whom it speaks for, since and until when, and what the browser called itself.

    `last_used_at` is noted about once an hour.
    """

    id: UUID
    user: User
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class SessionTime:
    """How long a session lasts: after its last use, and at most, however much it is used."""

    unused: timedelta
    at_most: timedelta
