"""The viewer's inbox: its cursor, the events that follow it, and pages of it."""

from collections.abc import AsyncGenerator, Callable, Collection, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Never, TypeVar

from db import inbox_log, inboxes
from db.entries import InboxEntry, InboxPage, Place
from db.records import UnreadTotals, User
from db.users import UserGone
from realtime.cursors import ExpiredCursor, InboxCursor, MalformedCursor
from realtime.followed_inbox import FollowedInbox
from realtime.follower import PAGE_SIZE
from realtime.wanted import Wanted
from resolvers.context import Context, EventStream
from resolvers.errors import AccountGone, BadUserInput, CursorExpired, CursorInvalid
from resolvers.paging import check_page_size

_Event = TypeVar("_Event")

_MAX_KINDS = 100
# How much of the inbox a page of events looks through at most, in order to find any. Each read is larger than
# the one before, because few of the entries seem to be of the requested kinds.
_ENTRIES_AT_A_TIME = 1000
_GROWTH = 4
_READS = 10
_ENTRIES_PER_FIELD = 10

MAX_SEARCH_COST = _READS * _ENTRIES_AT_A_TIME // _ENTRIES_PER_FIELD
"""The cost of looking through as many entries as a page does at most, in fields."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events after a cursor, and the cursor up to which they are complete."""

    entries: Sequence[tuple[str, InboxEntry]]
    """Each with its cursor."""
    cursor: str
    has_more: bool


async def inbox_cursor(context: Context) -> str:
    """Return the cursor of the end of the viewer's inbox."""
    viewer = context.require_viewer()
    context.read_once()
    async with context.reading() as connection:
        state = await inboxes.state(connection, viewer.id)
    return _encoded(context, viewer, InboxCursor(state.epoch, state.last_position, state.tag))


async def unread(context: Context) -> UnreadTotals:
    """Return how much the viewer has not read."""
    viewer = context.require_viewer()
    context.read_once()
    async with context.reading() as connection:
        return (await inboxes.state(connection, viewer.id)).unread


def _encoded(context: Context, viewer: User, cursor: InboxCursor) -> str:
    if not context.cursor_form.tags:
        cursor = InboxCursor(cursor.epoch, cursor.position)
    return cursor.encode(viewer.id)


def checked_kinds(kinds: Collection[int] | None, every: frozenset[int]) -> frozenset[int]:
    """Return the kinds that a client asks for: by default, every one.

    Raises:
        BadUserInput: it asks for none, or for too many.
    """
    if kinds is None:
        return every
    if not 1 <= len(kinds) <= _MAX_KINDS:
        raise BadUserInput(f"`kinds` must have 1 to {_MAX_KINDS} values, or be left out for all kinds.")
    return frozenset(kinds)


async def page(context: Context, after: str, *, first: int, kinds: frozenset[int]) -> EventPage:
    """Return the next events after the cursor, at most `first`.

    Where few of the entries are of these kinds, the page may have less, or none, and still have more after
    it: a request reads a limited part of the inbox, and is charged for it.

    Raises:
        BadUserInput: `first` is not 1 to 100.
        CursorInvalid: `after` is not a cursor of the viewer.
        CursorExpired: as for `follow_inbox`.
        RateLimited: the viewer's budget was used up while the inbox was read.
    """
    viewer = context.require_viewer()
    check_page_size(first, "first")
    wanted = Wanted(viewer.id, kinds, include_mine=True)
    with _rejecting_cursors():
        asked = _decoded(after, viewer, "after")
        return await _page(context, wanted, asked, first)


async def _page(context: Context, wanted: Wanted, after: InboxCursor, first: int) -> EventPage:
    viewer = context.require_viewer()
    entries: list[InboxEntry] = []
    position, tag, is_end, limit = after.position, after.tag, False, first
    for _ in range(_READS):
        async with context.reading() as connection:
            found = await inbox_log.page(connection, wanted.page_after(position, limit))
        _check(InboxCursor(after.epoch, position, tag), found)
        entries += found.entries
        context.charge(found.looked_at / _ENTRIES_PER_FIELD + len(found.entries))
        if found.up_to > position:
            position, tag = found.up_to, found.tag
        is_end, limit = found.is_end, min(limit * _GROWTH, _ENTRIES_AT_A_TIME)
        if is_end or len(entries) >= first:
            break
    if len(entries) > first:
        del entries[first:]
        position, tag, is_end = entries[-1].position, entries[-1].tag, False

    def cursor(position: int, tag: int | None) -> str:
        return _encoded(context, viewer, InboxCursor(after.epoch, position, tag))

    return EventPage(
        [(cursor(entry.position, entry.tag), entry) for entry in entries], cursor(position, tag), not is_end
    )


async def follow_inbox(
    context: Context, after: str | None, wanted: Wanted, event_of: Callable[[str, InboxEntry], _Event]
) -> AsyncGenerator[_Event]:
    """Yield what is wanted of the viewer's inbox, once and in order, converted by `event_of`.

    With `after`, the entries since that cursor come first. The context's stream begins after the subscriber
    has been attached, so that none is missed. The generator ends when the stream has caught up and shares the
    inbox. A stream that leads others resumes their inbox and ignores `after`. No database connection is held
    between events.

    Raises:
        CursorInvalid: `after` is not a cursor of the viewer.
        CursorExpired: `after` has another epoch, is past the end of the inbox or after another entry than
            there is now, or wanted entries after it have been deleted. The generator also raises it when
            the epoch changes, the database loses entries that have been delivered, or entries are deleted
            before they have been read.
        AccountGone: the viewer has been deleted. The generator also raises it.
    """
    stream = context.require_stream()
    inbox = stream.led_inbox
    if inbox is None:
        with _rejecting_cursors():
            inbox = await _open(context, after, wanted, event_of)
        try:
            if stream.resume_at_once(inbox):
                return _nothing()
        except BaseException:
            inbox.let_go(stream)
            raise
    return _events(inbox, stream, event_of)


async def _open(
    context: Context, after: str | None, wanted: Wanted, event_of: Callable[[str, InboxEntry], object]
) -> FollowedInbox:
    """Attach to the viewer's inbox, and begin the context's stream at `after`, or at the end of the inbox.

    Raises:
        ExpiredCursor: the inbox cannot be followed from `after`.
    """
    viewer, stream = context.require_viewer(), context.require_stream()
    # The event's ID is newer than the variables, which a client repeats unchanged when it reconnects.
    if context.last_event_id:
        asked = _decoded(context.last_event_id, viewer, "Last-Event-ID")
    else:
        cursor = context.start if after is None else after
        asked = None if cursor is None else _decoded(cursor, viewer, "after")
    subscribers = context.broadcaster.subscribers
    subscriber = await context.broadcaster.attach(viewer.id)
    try:
        doubts = subscribers.doubts
        page = await context.inbox_page(
            wanted.page_after(None if asked is None else asked.position, PAGE_SIZE)
        )
        start = _start(asked, page)
        inbox = FollowedInbox(
            context.database,
            context.broadcaster,
            subscriber,
            start,
            # Another server may have lost what has been read.
            page=page if subscribers.doubts == doubts else None,
            owner=stream,
            wanted=wanted,
            event_of=event_of,
            form=context.cursor_form,
        )
        await stream.begin(_encoded(context, viewer, start))
    except BaseException:
        context.broadcaster.detach(subscriber)
        raise
    return inbox


def _decoded(cursor: str, viewer: User, given: str) -> InboxCursor:
    try:
        return InboxCursor.decode(cursor, viewer.id)
    except MalformedCursor as error:
        sources = "`inboxCursor`, an event or a page of events"
        raise CursorInvalid(given, of="your inbox", sources=sources) from error


def _start(asked: InboxCursor | None, page: InboxPage) -> InboxCursor:
    """Return the cursor to follow the inbox from: the requested one, or else the end of the inbox.

    `page` is the one after it.

    Raises:
        ExpiredCursor: the inbox cannot be followed from the requested cursor.
    """
    standing = page.standing
    if asked is None:
        return InboxCursor(standing.epoch, page.up_to, standing.tag)
    _check(asked, page)
    # An earlier cursor without a tag gets it.
    return InboxCursor(asked.epoch, asked.position, asked.tag if standing.tag is None else standing.tag)


def _check(asked: InboxCursor, page: InboxPage) -> None:
    """Check that the entries before the page are those that the client has seen.

    Raises:
        ExpiredCursor: they are not. If the tags differ, the database has been restored from a backup.
    """
    if not page.standing.has(asked.epoch, Place(asked.position, asked.tag)):
        raise ExpiredCursor


async def _events(
    inbox: FollowedInbox, stream: EventStream, event_of: Callable[[str, InboxEntry], _Event]
) -> AsyncGenerator[_Event]:
    """Follow the inbox, and record each event's position on the stream before yielding it."""
    with _rejecting_cursors():
        async with aclosing(inbox.entries(stream)) as entries:
            async for cursor, entry in entries:
                stream.reach(inbox.place_of(entry), cursor)
                yield event_of(cursor, entry)


async def _nothing() -> AsyncGenerator[Never]:
    """Yield nothing."""
    for each in ():
        yield each


@contextmanager
def _rejecting_cursors() -> Generator[None]:
    try:
        yield
    except (ExpiredCursor, inbox_log.Trimmed) as error:
        raise CursorExpired from error
    except UserGone as error:
        raise AccountGone from error
