"""Clocks that are wrong, and an order that depends on them."""

import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Self
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from db import ids, inbox_log
from db.entries import InboxEntry, InboxPage
from db.inbox_log import PageAsked, PageRows
from db.messages import MESSAGE
from db.statements import Connection, Statement
from realtime import followed_inbox
from realtime.followed_inbox import FollowedInbox
from realtime.follower import InboxLog
from realtime.subscribers import Subscriber
from resolvers import retention
from server.auth import authentication
from tests.faults.sabotage.following import never_at_once


def set_clock(number: int) -> None:
    """Set the clock of every other process ahead, by up to an hour, wherever the product reads it."""
    ahead_seconds = random.uniform(60, 3600) * (number % 2)
    now, now_ns = time.time, time.time_ns

    def shifted() -> float:
        return now() + ahead_seconds

    def shifted_ns() -> int:
        return now_ns() + int(ahead_seconds * 10**9)

    def shifted_uuid7() -> UUID:
        return uuid7(nanoseconds=shifted_ns())

    class ShiftedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(shifted(), tz)

    time.time, time.time_ns = shifted, shifted_ns
    ids.uuid7 = shifted_uuid7
    authentication.datetime = retention.datetime = ShiftedDatetime


_READ_BY_ID = Statement(
    text(f"""
    SELECT * FROM (
        SELECT row_number() OVER (ORDER BY messages.id) AS place, {MESSAGE.sql("messages")}
        FROM inbox_entries JOIN messages ON messages.id = inbox_entries.message_id
        WHERE inbox_entries.user_id = :user_id) AS entry
    WHERE place > :after ORDER BY place LIMIT :limit
""")
)


@dataclass(frozen=True, slots=True)
class _PageById(PageRows):
    by_position: InboxPage

    def page(self) -> InboxPage:
        asked, rows = self.asked, self.rows
        if asked.after is None:
            return self.by_position
        after = asked.after
        entries = [InboxEntry.of_message(row["place"], MESSAGE.read(row)) for row in rows]
        wanted = [entry for entry in entries if asked.include_mine or entry.actor_id != asked.user_id]
        return InboxPage(
            wanted, after + len(rows), None, len(rows) < asked.limit, len(rows), self.by_position.standing
        )


async def _page_by_id(connection: Connection, read: PageRows) -> PageRows:
    asked = read.asked
    rows = await _READ_BY_ID.fetch(
        connection, user_id=asked.user_id, after=asked.after or 0, limit=asked.limit
    )
    return _PageById(asked, rows, read.page())


def order_by_id(number: int) -> None:
    """Order inboxes by the messages' IDs, which start with the time, instead of by position."""

    pages = inbox_log.pages

    async def by_id(connection: Connection, asked: Sequence[PageAsked]) -> Sequence[PageRows]:
        return [await _page_by_id(connection, each) for each in await pages(connection, asked)]

    async def follow(
        read: InboxLog,
        subscriber: Subscriber,
        *,
        after: int,
        page_size: int = 100,
        from_log: bool,
        wants: Callable[[InboxEntry], bool],
        owes: Callable[[int], InboxEntry | None],
        caught_up: Callable[[int], bool],
    ) -> AsyncGenerator[InboxEntry]:
        position = after
        while True:
            found = await read(after=position, limit=page_size)
            for entry in found.entries:
                yield entry
            position = found.up_to
            await subscriber.next()

    inbox_log.pages = by_id
    followed_inbox.follow = follow
    FollowedInbox.resume_at_once = never_at_once
