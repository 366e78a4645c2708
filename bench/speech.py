"""The requests of a server's clients, encoded once and sent often."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from bench import documents
from bench.http import request
from bench.population import Pair, Person
from schema.node import NodeType


class Speech(Protocol):
    """The requests to write as the first user of a pair, and to listen as any user."""

    @property
    def resumes(self) -> bool:
        """Whether an interrupted stream resumes without losing events."""
        ...

    def write(self, pair: Pair, content: str) -> bytes:
        """Return the request to write from the first user of the pair to the second."""
        ...

    def listen(self, person: Person, document: str) -> bytes:
        """Return the request to subscribe to a user's messages."""
        ...


@dataclass(frozen=True, slots=True)
class GraphQL:
    """Requests to the messenger or, with `plain_ids`, to a peer, which uses the database's IDs."""

    plain_ids: bool
    resumes: bool
    writes: bool = True
    """Whether the server has mutations."""
    forms: Mapping[str, str] = field(default_factory=dict[str, str])
    """What to send instead of a document, by document."""

    def write(self, pair: Pair, content: str) -> bytes:
        given = {"conversationId": self._conversation(pair.conversation_id), "content": content}
        return self._post(pair.one, documents.CREATE_MESSAGE, {"input": given})

    def edit(self, author: Person, message_id: UUID, content: str) -> bytes:
        """Return the request to edit a message; the peers have no equivalent."""
        given = {"messageId": NodeType.MESSAGE.encode(message_id), "content": content}
        return self._post(author, documents.UPDATE_MESSAGE, {"input": given})

    def delete(self, author: Person, message_id: UUID) -> bytes:
        """Return the request to delete a message; the peers have no equivalent."""
        return self._post(
            author, documents.DELETE_MESSAGE, {"input": {"messageId": NodeType.MESSAGE.encode(message_id)}}
        )

    def picture(self, person: Person, url: str) -> bytes:
        """Return the request to change a user's picture; the peers have no equivalent."""
        return self._post(person, documents.UPDATE_PROFILE, {"input": {"avatarUrl": url}})

    def read(self, pair: Pair) -> bytes:
        """Return the request to mark everything as read, as the second user of the pair."""
        given = {"conversationId": self._conversation(pair.conversation_id)}
        return self._post(pair.other, documents.READ_MESSAGES, {"input": given})

    def page_of_conversations(self, person: Person, size: int) -> bytes:
        """Return the request for a user's most recent conversations."""
        return self._post(person, documents.CONVERSATIONS, {"first": size})

    def page_of_messages(self, pair: Pair, size: int) -> bytes:
        """Return the request for the newest messages, as the second user of the pair."""
        given = {"id": self._conversation(pair.conversation_id), "last": size}
        return self._post(pair.other, documents.MESSAGES, given)

    def listen(self, person: Person, document: str) -> bytes:
        return self._post(person, document, {}, accept="text/event-stream")

    def _post(
        self,
        person: Person,
        document: str,
        variables: Mapping[str, object],
        accept: str = "application/json",
    ) -> bytes:
        headers = {"authorization": f"Bearer {person.token}", "accept": accept}
        body = {"query": self.forms.get(document, document), "variables": variables}
        return request("POST", "/graphql", headers, body)

    def _conversation(self, key: UUID) -> str:
        return str(key) if self.plain_ids else NodeType.CONVERSATION.encode(key)


class Bare:
    """Requests to the bare servers, which forward what they receive: an event like the messenger's."""

    resumes = False

    def write(self, pair: Pair, content: str) -> bytes:
        """Return the request to send an event to the second user of the pair."""
        return request("POST", f"/{pair.other.user_id}", {}, _event_like(pair, content))

    def listen(self, person: Person, document: str) -> bytes:
        """Return the request to open a stream of what is posted for the user."""
        return request("GET", f"/{person.user_id}", {})


def _event_like(pair: Pair, content: str) -> object:
    """Return what an event of MESSAGE_CREATED contains, with the same shape and size."""
    message = {
        "id": NodeType.MESSAGE.encode(pair.conversation_id),
        "content": content,
        "createdAt": "2026-11-24T12:00:00.000Z",
        "mine": False,
    }
    return {"data": {"messageCreated": {"cursor": "A" * 44, "message": message}}}
