"""The rows that `db` functions return, as small immutable records.

Those that are created in large numbers are named tuples, which take a third of the time of a dataclass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class User(NamedTuple):
    """A user account."""

    id: UUID
    username: str
    avatar_url: str | None


class Conversation(NamedTuple):
    """A conversation as one of its participants sees it.

    `read_seq` is the number of the last message that the participant has read. `last_position` is the
    position of the conversation's last message in their inbox, or 0 without messages. `unread_count` counts
    the messages after `read_seq` that still exist.
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
    """A message.

    `seq` numbers the messages of a conversation 1, 2, 3, ...; only deleted messages leave gaps.
    """

    id: UUID
    conversation_id: UUID
    seq: int
    author_id: UUID
    content: str
    created_at: datetime


class RecentConversation(NamedTuple):
    """A conversation as a list shows it: with the other participant and the last message.

    `other` is None unless there are exactly two participants. `last_message` is None if it has been deleted
    together with its author.
    """

    conversation: Conversation
    other: User | None
    last_message: Message | None


class InboxEntry(NamedTuple):
    """A message in a user's inbox. Positions are numbered 1, 2, 3, ... without gaps."""

    position: int
    message: Message


class InboxPage(NamedTuple):
    """Entries of an inbox in order, and the position up to which they are complete.

    Entries whose message has been deleted are left out, so `up_to` may be higher than the last position.
    """

    entries: Sequence[InboxEntry]
    up_to: int


@dataclass(frozen=True, slots=True)
class InboxState:
    """The state of an inbox: entries after `trimmed_to`, up to `last_position`, can be read."""

    epoch: UUID
    last_position: int
    trimmed_to: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a user.

    `last_used_at` is updated about once an hour. `user_agent` is the header sent at sign-in.
    """

    id: UUID
    user: User
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class SessionTime:
    """How long a session lasts: after its last use, and at most."""

    unused: timedelta
    at_most: timedelta
