"""Hints: the messages of the broadcaster."""

from dataclasses import dataclass
from uuid import UUID

from db.records import InboxEntry


@dataclass(frozen=True, slots=True)
class Hint:
    """An entry has been appended to a user's inbox. A hint may be lost; the log may not."""

    user_id: UUID
    entry: InboxEntry
