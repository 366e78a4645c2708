"""An inbox that streams follow."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from db import inboxes
from db.engine import Database, DatabaseUnavailable
from db.entries import MESSAGE_CREATED, InboxEntry, InboxPage
from realtime.backoff import Backoff
from realtime.broadcaster import Broadcaster
from realtime.cursors import ExpiredCursor, InboxCursor
from realtime.follower import follow
from realtime.subscribers import Subscriber


class FollowingStream(Protocol):
    """The stream whose task follows an inbox."""

    def caught_up(self, inbox: "FollowedInbox", /) -> bool:
        """Record that all events up to the inbox's position have been sent. True ends the following."""
        ...


class FollowedInbox:
    """A viewer's inbox, and a subscriber that is attached to it until `leave`.

    Streams follow it one after another, each from where the previous one stopped. While no stream follows it,
    the owner takes entries one by one when they arrive.
    """

    __slots__ = (
        "_broadcaster",
        "_database",
        "_epoch",
        "_event_of",
        "_is_new",
        "_skipped_actor",
        "owner",
        "subscriber",
    )

    def __init__(
        self,
        database: Database,
        broadcaster: Broadcaster,
        subscriber: Subscriber,
        start: InboxCursor,
        *,
        owner: object,
        include_mine: bool,
        event_of: Callable[[str, InboxEntry], object],
    ) -> None:
        """Follow the inbox of the subscriber's user from that cursor on."""
        self._database = database
        self._broadcaster = broadcaster
        self.subscriber = subscriber
        self._epoch = start.epoch
        self.position = start.position
        self._skipped_actor = None if include_mine else subscriber.user_id
        self._event_of = event_of
        self._is_new = True
        self.owner = owner
        """Responsible for calling `leave`: the stream that follows the inbox, or the run that shares it."""

    @property
    def position(self) -> int:
        """The position up to which entries have been taken."""
        position = self.subscriber.position
        assert position is not None
        return position

    @position.setter
    def position(self, position: int) -> None:
        self.subscriber.position = position

    def leave(self) -> None:
        """Detach the subscriber."""
        self._broadcaster.detach(self.subscriber)

    def cursor(self, position: int) -> str:
        """Return the cursor of a position."""
        return InboxCursor(self._epoch, position).encode(self.subscriber.user_id)

    def event(self, entry: InboxEntry) -> tuple[str, object] | None:
        """Return an entry's cursor and event, or None if the entry is left out."""
        if not self._is_wanted(entry):
            return None
        cursor = self.cursor(entry.position)
        return cursor, self._event_of(cursor, entry)

    def _is_wanted(self, entry: InboxEntry) -> bool:
        return entry.kind == MESSAGE_CREATED and entry.actor_id != self._skipped_actor

    async def entries(self, stream: FollowingStream) -> AsyncGenerator[tuple[str, InboxEntry]]:
        """Follow the inbox for a stream, from its position on: yield new messages with their cursors.

        The viewer's own entries are skipped unless they are included. Database outages are retried. The
        generator ends when `stream.caught_up` returns True (see `realtime.follower`).

        Raises:
            ExpiredCursor: entries after the stream's position have been deleted.
        """
        # Entries that were stored before the subscriber was attached are only in the log.
        from_log, self._is_new = self._is_new, False
        entries = follow(
            self.read,
            self.subscriber,
            after=self.position,
            from_log=from_log,
            caught_up=lambda _position: stream.caught_up(self),
        )
        try:
            async with aclosing(entries):
                async for entry in entries:
                    if self._is_wanted(entry):
                        yield self.cursor(entry.position), entry
        finally:
            # While this stream was waiting for its client, another one may have taken over.
            if self.owner is stream:
                self.leave()

    async def read(self, *, after: int, limit: int) -> InboxPage:
        """Return at most `limit` entries after position `after`, in order.

        Raises:
            ExpiredCursor: entries after `after` have been deleted.
        """
        user_id, backoff = self.subscriber.user_id, Backoff()
        while True:
            try:
                async with self._database.connection(share_of=user_id) as connection:
                    return await inboxes.read(connection, user_id, after=after, limit=limit)
            except inboxes.Trimmed as error:
                raise ExpiredCursor from error
            except DatabaseUnavailable:
                await backoff.wait()
