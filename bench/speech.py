"""How a server is spoken to: the requests of its clients, made once and sent often."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from bench import documents
from bench.http import request
from bench.population import Pair, Person
from schema.node import NodeType


class Speech(Protocol):
    """The requests by which the first of a pair writes and somebody listens."""

    @property
    def resumes(self) -> bool:
        """Whether a stream that was lost goes on where it was."""
        ...

    def write(self, pair: Pair, content: str) -> bytes:
        """Have the first of the pair write to the other."""
        ...

    def listen(self, person: Person, document: str) -> bytes:
        """Open a stream of somebody's messages."""
        ...


@dataclass(frozen=True, slots=True)
class GraphQL:
    """Speaks to the messenger or, `plain_ids`, to a peer, whose ids are the database's."""

    plain_ids: bool
    resumes: bool

    def write(self, pair: Pair, content: str) -> bytes:
        """Have the first of the pair write to the other."""
        given = {"conversationId": self._conversation(pair.conversation_id), "content": content}
        return _post(pair.one, documents.CREATE_MESSAGE, {"input": given})

    def page_of_conversations(self, person: Person, size: int) -> bytes:
        """Ask for somebody's most recent conversations."""
        return _post(person, documents.CONVERSATIONS, {"first": size})

    def page_of_messages(self, pair: Pair, size: int) -> bytes:
        """Ask, as the second of the pair, for the newest messages."""
        given = {"id": self._conversation(pair.conversation_id), "last": size}
        return _post(pair.other, documents.MESSAGES, given)

    def listen(self, person: Person, document: str) -> bytes:
        """Open a stream of somebody's messages."""
        return _post(person, document, {}, accept="text/event-stream")

    def _conversation(self, key: UUID) -> str:
        return str(key) if self.plain_ids else NodeType.CONVERSATION.encode(key)


class Bare:
    """Speaks to the bare servers, which pass on what they are given: an event like the messenger's."""

    resumes = False

    def write(self, pair: Pair, content: str) -> bytes:
        """Have an event sent to the second of the pair."""
        return request("POST", f"/{pair.other.user_id}", {}, _event_like(pair, content))

    def listen(self, person: Person, document: str) -> bytes:
        """Open a stream of what is posted for somebody."""
        return request("GET", f"/{person.user_id}", {})


def _event_like(pair: Pair, content: str) -> object:
    """Return what an event of MESSAGE_CREATED carries, in its shape and size."""
    message = {
        "id": NodeType.MESSAGE.encode(pair.conversation_id),
        "content": content,
        "createdAt": "2026-11-24T12:00:00.000Z",
        "mine": False,
    }
    return {"data": {"messageCreated": {"cursor": "A" * 44, "message": message}}}


def _post(
    person: Person, document: str, variables: Mapping[str, object], accept: str = "application/json"
) -> bytes:
    headers = {"authorization": f"Bearer {person.token}", "accept": accept}
    return request("POST", "/graphql", headers, {"query": document, "variables": variables})
