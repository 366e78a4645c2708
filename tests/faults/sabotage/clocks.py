"""Clocks that are wrong, and an order that depends on them."""

import random
import time
from collections.abc import AsyncGenerator, Callable, Collection
from datetime import datetime, tzinfo
from typing import Self
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from db import ids, inbox_log
from db.entries import InboxEntry, InboxPage
from db.messages import MESSAGE
from db.statements import Connection, Statement
from realtime import followed_inbox
from realtime.follower import InboxLog
from realtime.subscribers import Subscriber
from resolvers import retention
from server.auth import authentication


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


def order_by_id(number: int) -> None:
    """Order inboxes by the messages' IDs, which start with the time, instead of by position."""

    async def page(
        connection: Connection,
        user_id: UUID,
        *,
        after: int,
        kinds: Collection[int],
        include_mine: bool,
        limit: int,
    ) -> InboxPage:
        rows = await _READ_BY_ID.fetch(connection, user_id=user_id, after=after, limit=limit)
        entries = [InboxEntry.of_message(row["place"], MESSAGE.read(row)) for row in rows]
        wanted = [entry for entry in entries if include_mine or entry.actor_id != user_id]
        return InboxPage(wanted, after + len(rows), None, len(rows) < limit, len(rows))

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

    inbox_log.page = page
    followed_inbox.follow = follow
