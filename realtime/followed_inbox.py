"""An inbox that streams follow."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from db import inbox_log
from db.engine import Database, DatabaseUnavailable
from db.entries import CAUGHT_UP, InboxEntry, InboxPage, Place
from realtime.backoff import Backoff
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.cursors import ExpiredCursor, InboxCursor
from realtime.follower import FRESH_SECONDS, follow
from realtime.metrics import LOG_READS
from realtime.subscribers import Subscriber
from realtime.wanted import Wanted


class FollowingStream(Protocol):
    """The stream whose task follows an inbox."""

    knows_caught_up: bool
    """Whether the client has been told that it has caught up, or does not ask for it."""

    def caught_up(self, inbox: "FollowedInbox", /) -> bool:
        """Record that all events up to the inbox's position have been sent. True ends the following."""
        ...


class ResumingStream(FollowingStream, Protocol):
    """A stream that can send entries without waiting."""

    def send_at_once(self, inbox: "FollowedInbox", entry: InboxEntry, /) -> bool:
        """Send the inbox's next entry, or a CAUGHT_UP, or return False if that would have to wait."""
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
        "_page",
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
        page: InboxPage | None = None,
        owner: object,
        wanted: Wanted,
        event_of: Callable[[str, InboxEntry], object],
        form: CursorForm,
    ) -> None:
        """Follow the inbox of the subscriber's user from that cursor on.

        `page` is the one after it, if it has been read since the subscriber was attached.
        """
        self._database = database
        self._broadcaster = broadcaster
        self.subscriber = subscriber
        self._epoch = subscriber.epoch = start.epoch
        self.place = Place(start.position, start.tag)
        self._wanted = wanted
        self._event_of = event_of
        self._form = form
        # Entries that were stored before the subscriber was attached are only in the log.
        self._is_new = True
        self._page = None if page is None else page._replace(read_at=monotonic())
        if page is not None:
            self.note_ahead(Place(page.up_to, page.tag))
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
        """Note that more entries have been taken, up to this place.

        Those of a page have been taken when it has been read: of two about the same subject, it has only the
        last one, so the inbox must not lose that.
        """
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

    def let_go(self, stream: FollowingStream) -> None:
        """Detach the subscriber, unless the stream has handed the inbox over to a run.

        Another stream may also have taken over while this one was waiting for its client.
        """
        if self.owner is stream:
            self.leave()

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

    def _owed_to(self, stream: FollowingStream) -> InboxEntry | None:
        """Return the CAUGHT_UP of this place, if the stream has to be told of it."""
        return self.owed() if stream.knows_caught_up else self._caught_up_at(self.place.position)

    def resume_at_once(self, stream: ResumingStream) -> bool:
        """Send the stream the page that has been read, as far as that needs no waiting.

        Return True if the stream has then caught up and shares the inbox. Otherwise, it follows the `entries`
        from where this has stopped.
        """
        page = self._page
        if page is None or self.is_lost or _is_stale(page):
            return False
        for number, entry in enumerate(page.entries):
            if not stream.send_at_once(self, entry):
                self._page = page._replace(entries=page.entries[number:])
                return False
            self.place, self.reported = entry.place, entry.position
        LOG_READS.inc()
        self._page, self._is_new = None, not page.is_end
        self.place = Place(page.up_to, page.tag)
        if self._is_new or self.subscriber.is_woken:
            return False
        owed = self._owed_to(stream)
        if owed is not None:
            if not stream.send_at_once(self, owed):
                return False
            self.reported = owed.position
        stream.knows_caught_up = True
        if not stream.caught_up(self):
            return False
        self.let_go(stream)
        return True

    async def entries(self, stream: FollowingStream) -> AsyncGenerator[tuple[str, InboxEntry]]:
        """Follow the inbox for a stream, from its place on: yield wanted entries with their cursors.

        If the stream asks for it, a CAUGHT_UP comes when it has caught up for the first time, and again when
        it has passed others than wanted entries. Database outages are retried. The generator ends when
        `stream.caught_up` returns True (see `realtime.follower`).

        Raises:
            ExpiredCursor: wanted entries after the stream's place have been deleted, or the database has lost
                entries that were taken.
        """

        def owes(_position: int) -> InboxEntry | None:
            owed = self._owed_to(stream)
            stream.knows_caught_up = True
            return owed

        if CAUGHT_UP not in self._wanted.kinds:
            stream.knows_caught_up = True
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
            self.let_go(stream)

    async def read(self, *, after: int, limit: int) -> InboxPage:
        """Read at most `limit` entries after position `after`, and return those that are wanted, in order.

        Raises:
            ExpiredCursor: as for `entries`.
        """
        if self.is_lost:
            raise ExpiredCursor
        page, self._page = self._page, None
        if page is not None and not _is_stale(page):
            return page
        place = self.place if self.place.position == after else Place(after)
        page = await self._read_page(after, limit)
        if not page.standing.has(self._epoch, place):
            self.subscriber.lose()
            raise ExpiredCursor
        self.note_ahead(Place(page.up_to, page.tag))
        return page

    async def _read_page(self, after: int, limit: int) -> InboxPage:
        backoff = Backoff()
        while True:
            try:
                return await self._database.batched_reads.inbox_page(self._wanted.page_after(after, limit))
            except inbox_log.Trimmed as error:
                raise ExpiredCursor from error
            except DatabaseUnavailable:
                await backoff.wait()


def _is_stale(page: InboxPage) -> bool:
    return page.read_at is not None and monotonic() - page.read_at > FRESH_SECONDS
