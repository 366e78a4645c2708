"""The entries of inboxes. Each says what happened to what, by the number of its kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from db.records import Message

# The numbers are stored and sent between processes, so their meaning never changes. They are plain
# numbers, because a process also meets those of a later version. The missing ones are reserved: 4 for
# reactions, 6 and 7 for conversations that change and that the user leaves.
CAUGHT_UP = 0
"""Never stored: a place in the log, in the form of an entry."""
MESSAGE_CREATED = 1
MESSAGE_UPDATED = 2
MESSAGE_DELETED = 3
READ_MARK_MOVED = 5
USER_UPDATED = 9
OF_MESSAGES = frozenset({MESSAGE_CREATED, MESSAGE_UPDATED, MESSAGE_DELETED})
"""The kinds whose subject is a message, and which are left out if it no longer exists."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TAG_BITS = 0xFFFFFF


class Place(NamedTuple):
    """A place in an inbox: after the entry at `position`, or at its start, which is 0."""

    position: int
    tag: int | None = None
    """The tag of the entry; None if it is not known, or there is none."""

    def is_same_as(self, other: "Place") -> bool:
        """Return whether both have the same position, and not different entries there."""
        return self.position == other.position and (
            self.tag == other.tag or self.tag is None or other.tag is None
        )

    def is_contradicted_by(self, entry: "InboxEntry") -> bool:
        """Return whether the entry has this position, and is another one than was there before."""
        return entry.position == self.position and self.tag is not None and entry.tag != self.tag


class InboxEntry(NamedTuple):
    """An entry in a user's inbox. Positions are numbered 1, 2, 3, ... without gaps.

    `subject_id` is the message or the user that it is about, and `conversation_id` is None if it belongs to
    no conversation. `message` is the subject as it was when the entry was read; None if the subject is not a
    message, or has not been read.
    """

    position: int
    kind: int
    conversation_id: UUID | None
    subject_id: UUID
    actor_id: UUID | None
    created_at: datetime
    message: Message | None = None

    @classmethod
    def of_message(cls, position: int, message: Message) -> "InboxEntry":
        """Return the entry of a message that has been created."""
        return cls(
            position,
            MESSAGE_CREATED,
            message.conversation_id,
            message.id,
            message.author_id,
            message.created_at,
            message,
        )

    @property
    def tag(self) -> int:
        """24 bits that tell this entry from another one at its position, after a restore from a backup."""
        return tag_of(self.subject_id, self.created_at)

    @property
    def place(self) -> Place:
        """The place after this entry."""
        return Place(self.position, self.tag)


@dataclass(frozen=True, slots=True)
class Standing:
    """An inbox as it is now, at a place: shows whether entries up to there have been lost or replaced."""

    epoch: UUID
    last_position: int
    tag: int | None
    """The tag of the entry at the place; None if there is none."""

    def has(self, epoch: UUID, place: Place) -> bool:
        """Return whether the inbox still has the entries up to the place that was reached in that epoch."""
        return (
            epoch == self.epoch
            and place.position <= self.last_position
            and (place.tag is None or self.tag is None or place.tag == self.tag)
        )


class InboxPage(NamedTuple):
    """The requested entries of a range of an inbox, in order.

    Entries that were not requested, cannot be shown, or are followed by one of the same kind about the same
    subject are left out, so `up_to` may be higher than the last position.
    """

    entries: Sequence[InboxEntry]
    up_to: int
    """The end of the range."""
    tag: int | None
    """The tag of the entry at `up_to`; None if it is not known."""
    is_end: bool
    """Whether there are no entries after `up_to`."""
    looked_at: int
    """How many entries the range has, including those that were left out."""
    standing: Standing
    """That of the place after which the page was read."""
    read_at: float | None = None
    """When this process read it, by the monotonic clock; None if it has just been read."""


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry as it was appended: to whose inboxes, at which positions.

    The other fields are those of `InboxEntry`.
    """

    kind: int
    conversation_id: UUID | None
    subject_id: UUID
    actor_id: UUID | None
    created_at: datetime
    positions: Mapping[UUID, int]
    message: Message | None = None

    def entries(self) -> Iterator[tuple[UUID, InboxEntry]]:
        """Yield each user's ID with the entry in their inbox."""
        shared = (
            self.kind,
            self.conversation_id,
            self.subject_id,
            self.actor_id,
            self.created_at,
            self.message,
        )
        for user_id, position in self.positions.items():
            yield user_id, InboxEntry(position, *shared)


def tag_of(subject_id: UUID, created_at: datetime) -> int:
    """Return the tag of the entry that has these."""
    return (subject_id.int ^ milliseconds(created_at)) & _TAG_BITS


def milliseconds(moment: datetime) -> int:
    """Return the time since 1970, in the precision in which it is stored."""
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(milliseconds: int) -> datetime:
    """Return the time that `milliseconds` was made of."""
    return _EPOCH + milliseconds * _MILLISECOND
