"""Hints: what a broadcaster carries."""

from dataclasses import dataclass
from uuid import UUID

from db.records import InboxEntry


@dataclass(frozen=True, slots=True)
class Hint:
    """News that an entry has been appended to a user's inbox. The log is the truth, this only wakes."""

    user_id: UUID
    entry: InboxEntry
