"""Users of the messenger over HTTP; they do what a frontend would do for them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

PATIENCE_SECONDS = 20

MESSAGE_CREATED = """
    subscription ($after: String, $includeMine: Boolean! = false) {
        messageCreated(after: $after, includeMine: $includeMine) {
            cursor message { id content mine author { username } conversation { id unreadCount } }
        }
    }
"""
CREATE_MESSAGE = """
    mutation ($input: CreateMessageInput!) {
        createMessage(input: $input) {
            message { id content createdAt mine }
            userErrors { code message path }
        }
    }
"""
CREATE_CONVERSATION = """
    mutation ($input: CreateConversationInput!) {
        createConversation(input: $input) {
            conversation { id } created userErrors { code message path }
        }
    }
"""


@dataclass
class Stream:
    """An open event stream."""

    response: httpx.Response
    events: AsyncGenerator[ServerSentEvent]
    last_event_id: str = ""
    seen: list[ServerSentEvent] = field(default_factory=list[ServerSentEvent])

    async def event(self) -> ServerSentEvent:
        """Return the next event, within the time that a user would wait for it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.events:
                self.last_event_id = event.id
                # A block with only an ID is not an event; it contains the cursor where the stream starts.
                if event.event != "message":
                    self.seen.append(event)
                    return event
        raise StreamOver

    async def answer(self) -> dict[str, Any]:
        """Return the GraphQL answer in the next event."""
        event = await self.event()
        assert event.event == "next", event
        return json.loads(event.data)

    async def message(self) -> dict[str, Any]:
        """Return the message in the next event."""
        return (await self.created())["message"]

    async def created(self) -> dict[str, Any]:
        """Return the cursor and message in the next event."""
        answer = await self.answer()
        assert "errors" not in answer, answer
        created = answer["data"]["messageCreated"]
        assert created["cursor"] == self.last_event_id
        return created

    async def contents(self, count: int) -> list[str]:
        """Return the contents of the next messages."""
        return [(await self.message())["content"] for _ in range(count)]


class StreamOver(Exception):
    """The response has ended."""


@dataclass
class Person:
    """A user who is signed in."""

    username: str
    token: str
    http: httpx.AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def posts(self, document: str, **variables: Any) -> httpx.Response:
        """Send a document."""
        body = {"query": document, "variables": variables}
        return await self.http.post("/graphql", json=body, headers=self.headers)

    async def answer(self, document: str, **variables: Any) -> dict[str, Any]:
        """Return the whole answer to a document."""
        return (await self.posts(document, **variables)).json()

    async def asks(self, document: str, **variables: Any) -> dict[str, Any]:
        """Return the data of an answer, which must not have errors."""
        answer = await self.answer(document, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def opens_conversation_with(self, other: "Person") -> str:
        """Return the conversation's id."""
        given = {"username": other.username}
        return (await self.asks(CREATE_CONVERSATION, input=given))["createConversation"]["conversation"]["id"]

    async def tries_to_send(self, content: str, *, to: str, key: str | None = None) -> dict[str, Any]:
        """Return the payload of createMessage."""
        given = {"conversationId": to, "content": content, "idempotencyKey": key}
        return (await self.asks(CREATE_MESSAGE, input=given))["createMessage"]

    async def sends(self, content: str, *, to: str, key: str | None = None) -> dict[str, Any]:
        """Return the message as sent."""
        payload = await self.tries_to_send(content, to=to, key=key)
        assert payload["userErrors"] == [], payload
        return payload["message"]

    async def inbox_cursor(self) -> str:
        return (await self.asks("{ inboxCursor }"))["inboxCursor"]

    @asynccontextmanager
    async def streaming(
        self, document: str, *, headers: dict[str, str] | None = None, **variables: Any
    ) -> AsyncGenerator[Stream]:
        """Open an event stream for a document; it is live when the block begins."""
        request = self.http.stream(
            "POST",
            "/graphql",
            json={"query": document, "variables": variables},
            headers={**self.headers, "accept": "text/event-stream", **(headers or {})},
        )
        async with request as response, aclosing(EventSource(response).aiter_sse()) as events:
            assert response.headers["content-type"].startswith("text/event-stream"), await response.aread()
            yield Stream(response, events)

    @asynccontextmanager
    async def listening(
        self,
        *,
        after: str | None = None,
        include_mine: bool = False,
        last_event_id: str | None = None,
    ) -> AsyncGenerator[Stream]:
        """Subscribe to messageCreated."""
        headers = {} if last_event_id is None else {"last-event-id": last_event_id}
        opened = self.streaming(MESSAGE_CREATED, headers=headers, after=after, includeMine=include_mine)
        async with opened as stream:
            yield stream
