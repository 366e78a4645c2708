"""Senders number their messages, and retry until each one is acknowledged."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import httpx

from schema.node import NodeType
from tests.faults.accounts import Account, Talk
from tests.support.people import CREATE_MESSAGE


@dataclass
class Sent:
    """A message that a sender tried to send, and its ID once it has been acknowledged."""

    sender: str
    number: int
    talk: Talk
    account: Account
    acknowledged: str | None = None

    @property
    def content(self) -> str:
        return f"{self.sender} {self.number}"


@dataclass
class Sender:
    """Sends messages in some conversations of an account, one after the other."""

    name: str
    account: Account
    talks: Sequence[Talk]
    doors: Sequence[httpx.AsyncClient]
    dice: Random
    stop: asyncio.Event
    news: asyncio.Event
    has_keys: bool = True
    pause_seconds: float = 0.06
    sent: list[Sent] = field(default_factory=list[Sent])
    acknowledged: int = 0
    wrong_errors: list[str] = field(default_factory=list[str])

    async def send(self) -> None:
        """Send until stopped; by then the last message is acknowledged or abandoned."""
        while not self.stop.is_set():
            message = Sent(self.name, len(self.sent) + 1, self.dice.choice(self.talks), self.account)
            self.sent.append(message)
            key = str(uuid4()) if self.has_keys else None
            # Sometimes the sender gives up: the message is then stored once or not at all.
            gives_up = self.dice.random() < 0.1
            while message.acknowledged is None:
                message.acknowledged = await self._try(message, key)
                if gives_up:
                    break
                if message.acknowledged is None:
                    await asyncio.sleep(self.dice.uniform(0, 0.1))
            self.acknowledged += message.acknowledged is not None
            self.news.set()
            await asyncio.sleep(self.dice.uniform(0, 2 * self.pause_seconds))

    async def _try(self, message: Sent, key: str | None) -> str | None:
        """Return the message's ID, or None if it has to be retried."""
        given = {
            "conversationId": NodeType.CONVERSATION.encode(message.talk.id),
            "content": message.content,
            "idempotencyKey": key,
        }
        try:
            response = await self.dice.choice(self.doors).post(
                "/graphql",
                json={"query": CREATE_MESSAGE, "variables": {"input": given}},
                headers={"authorization": f"Bearer {self.account.token}"},
            )
        except httpx.HTTPError:
            return None
        if response.status_code == 503:
            return None
        if not response.headers["content-type"].startswith("application/json"):
            self.wrong_errors.append(f"{response.status_code} {response.text}")
            return None
        answer: dict[str, Any] = response.json()
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        if codes == ["UNAVAILABLE"]:
            return None
        if codes or answer["data"]["createMessage"]["userErrors"]:
            self.wrong_errors.append(response.text)
            return None
        return answer["data"]["createMessage"]["message"]["id"]
