"""Devices listen, remember their cursor, and reconnect whenever they are cut off."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import httpx
from httpx_sse import EventSource, ServerSentEvent

from db import entries
from realtime.cursors import InboxCursor
from schema.node import NodeType
from tests.faults.accounts import Account
from tests.faults.history import History
from tests.faults.operations import State

_STATE = "id content version deletedAt"
_PLACE = "conversation { id unreadCount }"
# The simple selections of messages are served from the hint. The others query the database for each event.
_OTHERS = """
    ... on ReadMarkMoved {
        conversation { id unreadCount }
        participant { user { id } lastReadMessage { id } }
    }
    ... on UserUpdated { user { id username removedAt } }
"""


def _inbox_events(selection: str) -> str:
    messages = "".join(
        f"... on {name} {{ message {{ {_STATE} {selection} }} }}"
        for name in ("MessageCreated", "MessageUpdated", "MessageDeleted")
    )
    return f"""
        subscription ($includeMine: Boolean!) {{
            inboxEvents(includeMine: $includeMine) {{ __typename cursor {messages} {_OTHERS} }}
        }}
    """


def _message_created(selection: str) -> str:
    return f"""
        subscription ($includeMine: Boolean!) {{
            messageCreated(includeMine: $includeMine) {{
                __typename cursor message {{ {_STATE} {selection} }}
            }}
        }}
    """


@dataclass(frozen=True)
class Subscription:
    """What a device subscribes to."""

    document: str
    kinds: frozenset[int]
    include_mine: bool


_KINDS = {
    "MessageCreated": entries.MESSAGE_CREATED,
    "MessageUpdated": entries.MESSAGE_UPDATED,
    "MessageDeleted": entries.MESSAGE_DELETED,
    "ReadMarkMoved": entries.READ_MARK_MOVED,
    "UserUpdated": entries.USER_UPDATED,
}
EVERY_KIND = frozenset(_KINDS.values())
_NEW_MESSAGES = frozenset({entries.MESSAGE_CREATED})

EVERYTHING = Subscription(_inbox_events(_PLACE), EVERY_KIND, include_mine=True)
OF_OTHERS = Subscription(_inbox_events(""), EVERY_KIND, include_mine=False)
NEW_MESSAGES = Subscription(_message_created(_PLACE), _NEW_MESSAGES, include_mine=True)
NEW_MESSAGES_OF_OTHERS = Subscription(_message_created(""), _NEW_MESSAGES, include_mine=False)


@dataclass(frozen=True)
class Seen:
    """An event as a device received it: what is at this position of the inbox, and what that looked like."""

    position: int
    kind: int
    subject_id: UUID | None
    conversation_id: UUID | None
    """None if the device did not ask for it, or there is none."""
    connected_at: float
    """When the device opened the connection, by the clock of `History`."""
    message: State | None = None
    last_read: UUID | None = None
    """The last message that the user of a read mark has read."""
    username: str | None = None
    """The name of a user; None if they have been removed."""
    unread_count: int | None = None
    """How many messages of the conversation the viewer has not read."""

    @classmethod
    def of(cls, event: Mapping[str, Any], position: int, connected_at: float) -> "Seen":
        kind = _KINDS[event["__typename"]]
        if kind == entries.USER_UPDATED:
            user = event["user"]
            name = user["username"] if user["removedAt"] is None else None
            user_id = NodeType.USER.decode(user["id"])
            return cls(position, kind, user_id, None, connected_at, username=name)
        if kind == entries.READ_MARK_MOVED:
            last = event["participant"]["lastReadMessage"]
            return cls(
                position,
                kind,
                NodeType.USER.decode(event["participant"]["user"]["id"]),
                NodeType.CONVERSATION.decode(event["conversation"]["id"]),
                connected_at,
                last_read=last and NodeType.MESSAGE.decode(last["id"]),
                unread_count=event["conversation"]["unreadCount"],
            )
        message = event["message"]
        place = message.get("conversation")
        return cls(
            position,
            kind,
            NodeType.MESSAGE.decode(message["id"]),
            place and NodeType.CONVERSATION.decode(place["id"]),
            connected_at,
            message=State.of(message),
            unread_count=place and place["unreadCount"],
        )


@dataclass(eq=False)
class Device:
    """One of a user's devices, and what it has received after the position `since`."""

    account: Account
    history: History
    doors: Sequence[httpx.AsyncClient]
    dice: Random
    subscription: Subscription
    keeps_cursor: bool = True
    since: int = 0
    received: list[Seen] = field(default_factory=list[Seen])
    deliveries: int = 0
    wrong_errors: list[str] = field(default_factory=list[str])
    connections: int = 0
    _cursor: str = ""
    _connected_at: float = 0
    _heard_at: float = 0

    @property
    def knows_losses(self) -> bool:
        """Whether the server has accepted its cursor since the database last lost transactions."""
        return not self.history.losses or self._heard_at > self.history.losses[-1]

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
        headers = {"accept": "text/event-stream"}
        if self._cursor:
            headers["last-event-id"] = self._cursor
        variables = {"includeMine": self.subscription.include_mine}
        body = {"query": self.subscription.document, "variables": variables}
        headers["authorization"] = f"Bearer {self.account.token}"
        self._connected_at = time.monotonic()
        async with door.stream("POST", "/graphql", json=body, headers=headers) as response:
            if response.status_code == 503:
                return False
            if response.status_code != 200:
                return self._fail((await response.aread()).decode())
            self.connections += 1
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for event in events:
                    if event.event == "complete":
                        return True
                    if event.event == "next" and (codes := _codes(event)):
                        if codes == ["CURSOR_EXPIRED"] and self.history.losses:
                            await self._begin_again(door)
                            return False
                        return self._fail(event.data)
                    self._take(event)
        return False

    async def _begin_again(self, door: httpx.AsyncClient) -> None:
        """Go on from the end of the inbox, because its beginning is no longer what was received.

        If the end cannot be had now, the old cursor is tried again.
        """
        headers = {"authorization": f"Bearer {self.account.token}"}
        response = await door.post("/graphql", json={"query": "{ inboxCursor }"}, headers=headers)
        answer: dict[str, Any] = response.json() if response.status_code == 200 else {}
        if data := answer.get("data"):
            self._cursor = data["inboxCursor"]
            self.since = self._position(self._cursor)
            self.received = []

    def _fail(self, text: str) -> bool:
        """Note an answer that no fault explains, and listen no longer."""
        if not self.account.is_leaving:
            self.wrong_errors.append(text)
        return True

    def _take(self, event: ServerSentEvent) -> None:
        if event.event == "next":
            [found] = json.loads(event.data)["data"].values()
            if found["__typename"] != "CaughtUp":
                position = self._position(found["cursor"])
                self.received.append(Seen.of(found, position, self._connected_at))
                self.deliveries += 1
            self.history.news.set()
        self._cursor = event.id
        self._heard_at = self._connected_at

    def _position(self, cursor: str) -> int:
        return InboxCursor.decode(cursor, self.account.user_id).position


def _codes(event: ServerSentEvent) -> list[str]:
    """Return the codes of the errors in an event."""
    return [error["extensions"]["code"] for error in json.loads(event.data).get("errors", [])]
