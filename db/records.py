"""The rows that `db` functions return, as small immutable records.

Those that are created in large numbers are named tuples, which take a third of the time of a dataclass.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class User(NamedTuple):
    """A user account. One that has been removed keeps its row, with `removed_at`, for what it has written."""

    id: UUID
    username: str
    avatar_url: str | None
    removed_at: datetime | None = None


class Conversation(NamedTuple):
    """A conversation as one of its participants sees it.

    `read_seq` is the number of the last message that the participant has read. `last_position` is the
    position of the conversation's last message in their inbox, or 0 without messages. `unread_count` counts
    the messages after `read_seq` that have not been deleted.
    """

    id: UUID
    last_seq: int
    read_seq: int
    last_position: int
    unread_count: int


class Participant(NamedTuple):
    """A user's part in a conversation: since when, and how far they have read."""

    conversation_id: UUID
    user: User
    read_seq: int
    joined_at: datetime


class Message(NamedTuple):
    """A message.

    `seq` numbers the messages of a conversation 1, 2, 3, ...; only messages that were deleted together with
    their author leave gaps. `version` counts edits and the deletion, from 1. A message that was deleted by
    itself stays in its place, with `deleted_at` and without content.
    """

    id: UUID
    conversation_id: UUID
    seq: int
    author_id: UUID
    content: str
    created_at: datetime
    version: int = 1
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnreadTotals:
    """The conversations in which a user has unread messages, and how many messages these are."""

    conversations: int
    messages: int


@dataclass(frozen=True, slots=True)
class InboxState:
    """The state of an inbox: entries after `trimmed_to`, up to `last_position`, can be read.

    `tag` is that of the last entry; None if it has been deleted, or there has never been one.
    """

    epoch: UUID
    last_position: int
    trimmed_to: int
    tag: int | None
    unread: UnreadTotals


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
