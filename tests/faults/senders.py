"""Senders do one thing after the other, and repeat each until it is acknowledged."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from tests.faults.accounts import Account, Talk
from tests.faults.history import History
from tests.faults.operations import Deleted, Edited, Impossible, Opened, Operation, Read, Renamed, Sent

ALL_KINDS: Mapping[type[Operation], int] = {Sent: 50, Edited: 16, Deleted: 8, Read: 18, Renamed: 4, Opened: 4}
"""How often each kind of operation is chosen, of those that are possible."""


@dataclass
class Sender:
    """Uses an account on one device, and changes only the messages that it has sent itself."""

    name: str
    account: Account
    history: History
    doors: Sequence[httpx.AsyncClient]
    dice: Random
    mix: Mapping[type[Operation], int]
    has_keys: bool = True
    pause_seconds: float = 0.06
    sent: list[Sent] = field(default_factory=list[Sent])
    acknowledged: int = 0
    wrong_errors: list[str] = field(default_factory=list[str])
    _count: int = 0

    async def send(self) -> None:
        """Go on until stopped; by then the last operation is acknowledged or abandoned."""
        while not self.history.enough.is_set() and not self.account.is_leaving:
            operation = self._choose()
            self.history.operations.append(operation)
            # Sometimes the sender gives up: the operation then takes effect once or not at all.
            gives_up = self.dice.random() < 0.1
            while not await self._try(operation):
                if gives_up or self.account.is_leaving:
                    break
                await asyncio.sleep(self.dice.uniform(0, 0.1))
            self.acknowledged += operation.acknowledged_at is not None
            self.history.news.set()
            await asyncio.sleep(self.dice.uniform(0, 2 * self.pause_seconds))

    def _choose(self) -> Operation:
        self._count += 1
        choices: Mapping[type[Operation], Callable[[], Operation | None]] = {
            Sent: self._send,
            Edited: self._edit,
            Deleted: self._delete,
            Read: self._read,
            Renamed: self._rename,
            Opened: self._open,
        }
        [kind] = self.dice.choices(list(self.mix), list(self.mix.values()))
        return choices[kind]() or self._send()

    def _send(self) -> Sent:
        talk = self.dice.choice(self.history.company.talks_of(self.account.user_id))
        sent = Sent(self.account, self.name, self._count, talk, self.has_keys)
        self.sent.append(sent)
        return sent

    def _edit(self) -> Edited | None:
        sent = self._own_message()
        return sent and Edited(self.account, sent, f"{sent.content}, edit {self._count}")

    def _delete(self) -> Deleted | None:
        sent = self._own_message()
        return sent and Deleted(self.account, sent)

    def _own_message(self) -> Sent | None:
        """Return the last message, or any other, that the sender can change."""
        own = [sent for sent in self.sent if sent.state is not None and not sent.state.is_deleted]
        return self.dice.choice([own[-1], self.dice.choice(own)]) if own else None

    def _read(self) -> Read | None:
        """Read a conversation up to a message that someone has sent, whether or not it has been read."""
        talk = self.dice.choice(self.history.company.talks_of(self.account.user_id))
        known = self._known_in(talk)
        if not known:
            return None
        if self.dice.random() < 0.5:
            return Read(self.account, known[-1], whole=True)
        return Read(self.account, self.dice.choice(known[-10:]), whole=False)

    def _known_in(self, talk: Talk) -> Sequence[Sent]:
        return [
            sent for sent in self.history.of(Sent) if sent.talk.id == talk.id and sent.message_id is not None
        ]

    def _rename(self) -> Renamed | None:
        name = f"{self.account.user_id.hex[-12:]}.{self.name.replace(' ', '.')}.{self._count}"
        return Renamed(self.account, name) if self.account.can_rename else None

    def _open(self) -> Opened | None:
        others = [
            account
            for account in self.history.company.accounts
            if not account.can_rename and not account.is_leaving and account is not self.account
        ]
        return Opened(self.account, self.dice.choice(others)) if others else None

    async def _try(self, operation: Operation) -> bool:
        """Return whether the operation is over; otherwise it has to be tried again."""
        try:
            response = await self.dice.choice(self.doors).post(
                "/graphql",
                json={"query": operation.document, "variables": {"input": operation.input()}},
                headers={"authorization": f"Bearer {self.account.token}"},
            )
        except httpx.HTTPError:
            return False
        if response.status_code == 503:
            return False
        if not response.headers["content-type"].startswith("application/json"):
            return self._fail(response)
        answer: dict[str, Any] = response.json()
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        if codes == ["UNAVAILABLE"]:
            return False
        if codes:
            return self._fail(response)
        return self._take(operation, answer["data"][operation.name], response)

    def _take(self, operation: Operation, payload: Mapping[str, Any], response: httpx.Response) -> bool:
        codes = [error["code"] for error in payload["userErrors"]]
        if codes and not operation.is_refused(codes[0], payload):
            is_lost = codes == ["NOT_FOUND"] and self.history.may_be_lost(operation.needs())
            return is_lost or self._fail(response)
        if not codes:
            try:
                operation.take(payload)
            except Impossible:
                return self._fail(response)
        self.history.acknowledge(operation)
        if isinstance(operation, Opened) and operation.conversation_id is not None:
            talk = Talk(operation.conversation_id, operation.pair, operation.acknowledged_at or 0)
            self.history.company.talks[operation.pair] = talk
        return True

    def _fail(self, response: httpx.Response) -> bool:
        """Note an answer that no fault explains, and do not try again."""
        if not self.account.is_leaving:
            self.wrong_errors.append(f"{response.status_code} {response.text}")
        return True
