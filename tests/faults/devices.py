"""Devices listen, remember their cursor, and reconnect whenever they are cut off."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from random import Random

import httpx
from httpx_sse import EventSource, ServerSentEvent

from tests.faults.accounts import Account
from tests.support.people import MESSAGE_CREATED

# A device with `includeMine` queries the database for each message; the others are served from the hint. Of
# these, some receive everything, and go on from where they have caught up.
_BARE_MESSAGE_CREATED = """
    subscription ($includeMine: Boolean!) {
        messageCreated(includeMine: $includeMine) { cursor message { id content } }
    }
"""

_EVERYTHING = """
    subscription ($includeMine: Boolean!) {
        inboxEvents(includeMine: $includeMine) { cursor ... on MessageCreated { message { id content } } }
    }
"""


@dataclass(frozen=True)
class Seen:
    """A message as a device received it."""

    id: str
    content: str


@dataclass(eq=False)
class Device:
    """One of a user's devices, and what it has received."""

    account: Account
    doors: Sequence[httpx.AsyncClient]
    dice: Random
    news: asyncio.Event
    include_mine: bool
    asks_for_everything: bool = False
    keeps_cursor: bool = True
    received: list[Seen] = field(default_factory=list[Seen])
    wrong_errors: list[str] = field(default_factory=list[str])
    connections: int = 0
    _cursor: str = ""

    async def listen(self) -> None:
        """Listen, through one door after another, until the server completes the operation."""
        self._cursor = self.account.start
        over = False
        while not over:
            with suppress(httpx.HTTPError):
                over = await self._stay_connected(self.dice.choice(self.doors))
            if not self.keeps_cursor:
                self._cursor = ""
            await asyncio.sleep(self.dice.uniform(0, 0.1))

    async def _stay_connected(self, door: httpx.AsyncClient) -> bool:
        headers = {"authorization": f"Bearer {self.account.token}", "accept": "text/event-stream"}
        if self._cursor:
            headers["last-event-id"] = self._cursor
        body = {"query": self._document, "variables": {"includeMine": self.include_mine}}
        async with door.stream("POST", "/graphql", json=body, headers=headers) as response:
            if response.status_code == 503:
                return False
            if response.status_code != 200:
                self.wrong_errors.append((await response.aread()).decode())
                return True
            self.connections += 1
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for event in events:
                    if event.event == "complete":
                        return True
                    self._take(event)
        return False

    @property
    def _document(self) -> str:
        if self.asks_for_everything:
            return _EVERYTHING
        return MESSAGE_CREATED if self.include_mine else _BARE_MESSAGE_CREATED

    def _take(self, event: ServerSentEvent) -> None:
        if event.event == "next":
            answer = json.loads(event.data)
            if "errors" in answer:
                self.wrong_errors.append(event.data)
            else:
                [found] = answer["data"].values()
                # CaughtUp has no message.
                if message := found.get("message"):
                    self.received.append(Seen(message["id"], message["content"]))
            self.news.set()
        self._cursor = event.id
