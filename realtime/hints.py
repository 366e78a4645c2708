"""Hints: the notifications that the broadcaster carries."""

from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from db.entries import Appended, InboxEntry


@dataclass(frozen=True, slots=True)
class Hint:
    """A notification that an entry has been appended to a user's inbox. It may get lost; the log does not."""

    user_id: UUID
    entry: InboxEntry
    read_at: float = field(default_factory=monotonic, compare=False)
    """When this process got the entry, by the monotonic clock: its message may have changed since."""


def hints_of(appended: Appended) -> list[Hint]:
    """Return a hint for each inbox that the entry was appended to."""
    now = monotonic()
    return [Hint(user_id, entry, now) for user_id, entry in appended.entries()]
