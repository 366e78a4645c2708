"""An inbox that streams follow."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Protocol

from db import inbox_log
from db.engine import Database, DatabaseUnavailable
from db.entries import CAUGHT_UP, InboxEntry, InboxPage, Place
from realtime.backoff import Backoff
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.cursors import ExpiredCursor, InboxCursor
from realtime.follower import follow
from realtime.subscribers import Subscriber
from realtime.wanted import Wanted


class FollowingStream(Protocol):
    """The stream whose task follows an inbox."""

    knows_caught_up: bool
    """Whether the client has been told that it has caught up, or does not ask for it."""

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
        "_form",
        "_is_new",
        "_wanted",
        "owner",
        "reported",
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
        wanted: Wanted,
        event_of: Callable[[str, InboxEntry], object],
        form: CursorForm,
    ) -> None:
        """Follow the inbox of the subscriber's user from that cursor on."""
        self._database = database
        self._broadcaster = broadcaster
        self.subscriber = subscriber
        self._epoch = subscriber.epoch = start.epoch
        self.place = Place(start.position, start.tag)
        self._wanted = wanted
        self._event_of = event_of
        self._form = form
        self._is_new = True
        self.reported = start.position
        """The position of the last cursor that the streams have been sent."""
        self.owner = owner
        """Responsible for calling `leave`: the stream that follows the inbox, or the run that shares it."""

    @property
    def place(self) -> Place:
        """The place up to which entries have been taken."""
        place = self.subscriber.place
        assert place is not None
        return place

    @place.setter
    def place(self, place: Place) -> None:
        self.subscriber.place = place

    def note_ahead(self, place: Place) -> None:
        """Note that a stream which shares the inbox has taken more entries, up to this place."""
        ahead = self.subscriber.ahead
        if ahead is None or ahead.position < place.position:
            self.subscriber.ahead = place

    @property
    def is_in_doubt(self) -> bool:
        """Whether it must be verified that the database still has the entries that were taken."""
        return self._broadcaster.subscribers.is_in_doubt

    @property
    def is_lost(self) -> bool:
        """Whether the log no longer has all entries up to the place."""
        return self.subscriber.is_lost

    def leave(self) -> None:
        """Detach the subscriber."""
        self._broadcaster.detach(self.subscriber)

    def cursor(self, place: Place) -> str:
        """Return the cursor of a place."""
        cursor = InboxCursor(self._epoch, place.position, place.tag if self._form.tags else None)
        return cursor.encode(self.subscriber.user_id)

    def wants(self, entry: InboxEntry) -> bool:
        """Return whether the entry is wanted, which is the next one or a CAUGHT_UP."""
        return self._wanted.has(entry)

    def event(self, entry: InboxEntry, place: Place) -> tuple[str, object]:
        """Return the cursor and the event of a wanted entry, after which the inbox is at `place`."""
        cursor = self.cursor(place)
        return cursor, self._event_of(cursor, entry)

    def place_of(self, entry: InboxEntry) -> Place:
        """Return the place after a wanted entry; that of a CAUGHT_UP is where the inbox is."""
        return self.place if entry.kind == CAUGHT_UP else entry.place

    def owed(self) -> InboxEntry | None:
        """Return the CAUGHT_UP of this place, if it is wanted and streams do not know its cursor."""
        position = self.place.position
        return self._caught_up_at(position) if position > self.reported else None

    def _caught_up_at(self, position: int) -> InboxEntry | None:
        if CAUGHT_UP not in self._wanted.kinds:
            return None
        viewer_id = self.subscriber.user_id
        return InboxEntry(position, CAUGHT_UP, None, viewer_id, None, datetime.now(UTC))

    async def entries(self, stream: FollowingStream) -> AsyncGenerator[tuple[str, InboxEntry]]:
        """Follow the inbox for a stream, from its place on: yield wanted entries with their cursors.

        If the stream asks for it, a CAUGHT_UP comes when it has caught up for the first time, and again when
        it has passed others than wanted entries. Database outages are retried. The generator ends when
        `stream.caught_up` returns True (see `realtime.follower`).

        Raises:
            ExpiredCursor: wanted entries after the stream's place have been deleted, or the database has lost
                entries that were taken.
        """

        def owes(position: int) -> InboxEntry | None:
            owed = self.owed() if stream.knows_caught_up else self._caught_up_at(position)
            stream.knows_caught_up = True
            return owed

        if CAUGHT_UP not in self._wanted.kinds:
            stream.knows_caught_up = True
        # Entries that were stored before the subscriber was attached are only in the log.
        from_log, self._is_new = self._is_new, False
        entries = follow(
            self.read,
            self.subscriber,
            after=self.place.position,
            from_log=from_log,
            wants=self.wants,
            owes=owes,
            caught_up=lambda _position: stream.caught_up(self),
        )
        try:
            async with aclosing(entries):
                async for entry in entries:
                    self.reported = entry.position
                    yield self.cursor(self.place_of(entry)), entry
        finally:
            # While this stream was waiting for its client, another one may have taken over.
            if self.owner is stream:
                self.leave()

    async def read(self, *, after: int, limit: int) -> InboxPage:
        """Read at most `limit` entries after position `after`, and return those that are wanted, in order.

        Raises:
            ExpiredCursor: as for `entries`.
        """
        if not self.is_lost:
            place = self.place if self.place.position == after else Place(after)
            page = await self._page(after, limit)
            if page.standing is None or page.standing.has(self._epoch, place):
                return page
            self.subscriber.lose()
        raise ExpiredCursor

    async def _page(self, after: int, limit: int) -> InboxPage:
        user_id, backoff = self.subscriber.user_id, Backoff()
        while True:
            try:
                async with self._database.connection(share_of=user_id) as connection:
                    return await inbox_log.page(
                        connection,
                        user_id,
                        after=after,
                        kinds=self._wanted.kinds,
                        include_mine=self._wanted.include_mine,
                        limit=limit,
                    )
            except inbox_log.Trimmed as error:
                raise ExpiredCursor from error
            except DatabaseUnavailable:
                await backoff.wait()
