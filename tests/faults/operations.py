"""The operations: what users do by mutations, each of which is repeated until it is acknowledged."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID, uuid4

from schema.node import NodeType
from tests.faults.accounts import Account, Talk

_MESSAGE = "message { id content version deletedAt }"


class Impossible(Exception):
    """A payload that no correct server returns."""


@dataclass(frozen=True)
class State:
    """A message as it was shown."""

    content: str
    version: int
    is_deleted: bool

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "State":
        return cls(message["content"], message["version"], message["deletedAt"] is not None)


@dataclass(eq=False)
class Operation(ABC):
    """Something that a user does by one mutation, and when it was acknowledged."""

    name: ClassVar[str]
    """The mutation."""
    selection: ClassVar[str]
    """What is asked of its payload, besides user errors."""

    account: Account
    acknowledged_at: float | None = field(default=None, init=False)

    @abstractmethod
    def input(self) -> Mapping[str, object]:
        """Return the mutation's input, which is the same for each attempt."""

    @abstractmethod
    def take(self, payload: Mapping[str, Any]) -> None:
        """Keep what is needed of the payload of a successful mutation.

        Raises:
            Impossible: no correct server returns this.
        """

    def is_refused(self, code: str, payload: Mapping[str, Any]) -> bool:
        """Return whether a user error with this code properly ends the operation; keep what it says."""
        return False

    def needs(self) -> float:
        """Return when what it refers to was acknowledged; 0 if that was before the round."""
        return 0

    @property
    def document(self) -> str:
        given = f"{self.name[0].upper()}{self.name[1:]}Input!"
        return f"""
            mutation ($input: {given}) {{
                {self.name}(input: $input) {{ {self.selection} userErrors {{ code message }} }}
            }}
        """


@dataclass(eq=False)
class Sent(Operation):
    """A message that is sent, and the state in which its author last saw it."""

    name: ClassVar = "createMessage"
    selection: ClassVar = _MESSAGE

    sender: str
    number: int
    talk: Talk
    has_key: bool
    message_id: UUID | None = None
    state: State | None = None

    def __post_init__(self) -> None:
        self._key = str(uuid4()) if self.has_key else None

    @property
    def content(self) -> str:
        return f"{self.sender} {self.number}"

    def input(self) -> Mapping[str, object]:
        return {
            "conversationId": NodeType.CONVERSATION.encode(self.talk.id),
            "content": self.content,
            "idempotencyKey": self._key,
        }

    def take(self, payload: Mapping[str, Any]) -> None:
        self.message_id = NodeType.MESSAGE.decode(payload["message"]["id"])
        self.state = State.of(payload["message"])

    def needs(self) -> float:
        return self.talk.opened_at


@dataclass(eq=False)
class Changed(Operation):
    """A change of a message by its author. The result is None if another change came first."""

    sent: Sent
    result: State | None = field(default=None, init=False)

    @property
    def message_id(self) -> UUID:
        assert self.sent.message_id is not None
        return self.sent.message_id

    def take(self, payload: Mapping[str, Any]) -> None:
        self.result = self.sent.state = State.of(payload["message"])

    def needs(self) -> float:
        return self.sent.acknowledged_at or 0


@dataclass(eq=False)
class Edited(Changed):
    """An edit of the version that the author last saw."""

    name: ClassVar = "updateMessage"
    selection: ClassVar = _MESSAGE

    content: str

    def __post_init__(self) -> None:
        assert self.sent.state is not None
        self._version = self.sent.state.version

    def input(self) -> Mapping[str, object]:
        return {
            "messageId": NodeType.MESSAGE.encode(self.message_id),
            "content": self.content,
            "expectedVersion": self._version,
        }

    def is_refused(self, code: str, payload: Mapping[str, Any]) -> bool:
        # An earlier change whose answer was lost came first.
        if code != "CONFLICT":
            return False
        self.sent.state = State.of(payload["message"])
        return True


@dataclass(eq=False)
class Deleted(Changed):
    """A deletion of a message."""

    name: ClassVar = "deleteMessage"
    selection: ClassVar = _MESSAGE

    def input(self) -> Mapping[str, object]:
        return {"messageId": NodeType.MESSAGE.encode(self.message_id)}


@dataclass(eq=False)
class Read(Operation):
    """A conversation that is read up to a message; with `whole`, up to its end, at least to that one."""

    name: ClassVar = "readMessages"
    selection: ClassVar = "conversation { unreadCount }"

    up_to: Sent
    whole: bool

    def input(self) -> Mapping[str, object]:
        assert self.up_to.message_id is not None
        return {
            "conversationId": NodeType.CONVERSATION.encode(self.up_to.talk.id),
            "upToMessageId": None if self.whole else NodeType.MESSAGE.encode(self.up_to.message_id),
        }

    def take(self, payload: Mapping[str, Any]) -> None:
        if payload["conversation"]["unreadCount"] < 0:
            raise Impossible

    def needs(self) -> float:
        return self.up_to.acknowledged_at or 0


@dataclass(eq=False)
class Renamed(Operation):
    """A user takes another name."""

    name: ClassVar = "updateProfile"
    selection: ClassVar = "user { username }"

    username: str

    def input(self) -> Mapping[str, object]:
        return {"username": self.username}

    def take(self, payload: Mapping[str, Any]) -> None:
        pass


@dataclass(eq=False)
class Opened(Operation):
    """A conversation that a user opens with another one; both may do so at the same time."""

    name: ClassVar = "createConversation"
    selection: ClassVar = "conversation { id }"

    other: Account
    conversation_id: UUID | None = None

    @property
    def pair(self) -> frozenset[UUID]:
        return frozenset({self.account.user_id, self.other.user_id})

    def input(self) -> Mapping[str, object]:
        return {"username": self.other.username}

    def take(self, payload: Mapping[str, Any]) -> None:
        self.conversation_id = NodeType.CONVERSATION.decode(payload["conversation"]["id"])
