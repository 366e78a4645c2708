"""Hints: the notifications that the broadcaster carries."""

from dataclasses import dataclass
from uuid import UUID

from db.records import InboxEntry


@dataclass(frozen=True, slots=True)
class Hint:
    """A notification that an entry has been appended to a user's inbox. It may get lost; the log does not."""

    user_id: UUID
    entry: InboxEntry
