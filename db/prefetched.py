"""Objects that a request reads before the fields that need them are resolved."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple
from uuid import UUID

from db.asked_pages import AskedPage, MessagePage
from db.records import Conversation, Message, Participant, User


class SeqRange(NamedTuple):
    """The messages `first` to `last` of a conversation, both included."""

    conversation_id: UUID
    first: int
    last: int


class NotRead(Enum):
    """Marks what has not been read, where None means that it does not exist."""

    NOT_READ = auto()


NOT_READ: Final = NotRead.NOT_READ


class Prefetched:
    """The objects that have been read, by ID. None means that there is none."""

    __slots__ = (
        "conversations",
        "idempotency_keys",
        "last_messages",
        "others",
        "pages",
        "participants",
        "users",
    )

    def __init__(self) -> None:
        self.users: dict[UUID, User] = {}
        self.conversations: dict[UUID, Conversation] = {}
        self.others: dict[UUID, User | None] = {}
        """The other participants of conversations."""
        self.participants: dict[UUID, Sequence[Participant]] = {}
        """The participants of conversations."""
        self.last_messages: dict[UUID, Message | None] = {}
        """The newest messages of conversations."""
        self.pages: dict[tuple[UUID, AskedPage], MessagePage] = {}
        """The pages of conversations."""
        self.idempotency_keys: dict[UUID, UUID | None] = {}
        """The keys that the viewer sent messages with."""
