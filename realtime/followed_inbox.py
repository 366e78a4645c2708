"""An inbox while somebody hears of what enters it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeVar
from uuid import UUID

from db import inboxes
from db.engine import Database, DatabaseUnavailable
from db.records import InboxEntry, InboxPage, Message
from realtime.backoff import Backoff
from realtime.broadcaster import Broadcaster
from realtime.cursors import ExpiredCursor, InboxCursor
from realtime.follower import follow
from realtime.subscribers import Subscriber

_Event_co = TypeVar("_Event_co", covariant=True)


class FollowedInbox(Generic[_Event_co]):
    """A viewer's inbox, and a subscriber that is attached to it until `leave`.

    Streams follow it one after the other. While none does, entries become events one by one, as they come.
    """

    __slots__ = (
        "_broadcaster",
        "_database",
        "_epoch",
        "_event_of",
        "_skipped_author",
        "_turn",
        "is_kept",
        "subscriber",
    )

    def __init__(
        self,
        database: Database,
        broadcaster: Broadcaster,
        subscriber: Subscriber,
        epoch: UUID,
        *,
        include_mine: bool,
        event_of: Callable[[str, Message], _Event_co],
    ) -> None:
        """Follow the inbox of the subscriber's user, in that epoch of the database."""
        self._database = database
        self._broadcaster = broadcaster
        self.subscriber = subscriber
        self._epoch = epoch
        self._skipped_author = None if include_mine else subscriber.user_id
        self._event_of = event_of
        self._turn: object = None
        self.is_kept = False
        """Whether somebody other than who follows it now sees to it that it is left."""

    def leave(self) -> None:
        """Hear of nothing any more."""
        self._broadcaster.detach(self.subscriber)

    def cursor(self, position: int) -> str:
        """Return the cursor of a place in it."""
        return InboxCursor(self._epoch, position).encode(self.subscriber.user_id)

    def event(self, entry: InboxEntry) -> tuple[str, _Event_co] | None:
        """Return the event that an entry is, and its cursor; None for what is left out."""
        if entry.message.author_id == self._skipped_author:
            return None
        cursor = self.cursor(entry.position)
        return cursor, self._event_of(cursor, entry.message)

    async def events(
        self, after: int, *, from_log: bool, caught_up: Callable[[int], bool]
    ) -> AsyncGenerator[tuple[int, str, _Event_co]]:
        """Follow it and return its events, with their positions and cursors.

        A database that does not answer is waited for. `realtime.follower` tells the rest.

        Raises:
            ExpiredCursor: the reader has fallen behind what is kept.
        """
        turn = self._turn = object()
        entries = follow(self.read, self.subscriber, after=after, from_log=from_log, caught_up=caught_up)
        try:
            async with aclosing(entries):
                async for entry in entries:
                    event = self.event(entry)
                    if event is not None:
                        yield entry.position, *event
        finally:
            # Another stream may follow it since, while we have waited for our client.
            if self._turn is turn and not self.is_kept:
                self.leave()

    async def read(self, *, after: int, limit: int) -> InboxPage:
        """Return at most `limit` entries with a position over `after`, in order.

        Raises:
            ExpiredCursor: some of them are not kept any more.
        """
        backoff = Backoff()
        while True:
            try:
                async with self._database.connection() as connection:
                    return await inboxes.read(connection, self.subscriber.user_id, after=after, limit=limit)
            except inboxes.Trimmed as error:
                raise ExpiredCursor from error
            except DatabaseUnavailable:
                await backoff.wait()
