"""The viewer's inbox: its cursor, and the messages that are delivered to it."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from db import inboxes
from db.entries import InboxEntry
from db.records import User
from realtime.cursors import ExpiredCursor, InboxCursor, MalformedCursor
from realtime.followed_inbox import FollowedInbox
from resolvers.context import Context, EventStream
from resolvers.errors import CursorExpired, CursorInvalid

_Event = TypeVar("_Event")


async def inbox_cursor(context: Context) -> str:
    """Return the cursor of the end of the viewer's inbox."""
    viewer = context.require_viewer()
    async with context.reading() as connection:
        state = await inboxes.state(connection, viewer.id)
    return InboxCursor(state.epoch, state.last_position).encode(viewer.id)


async def message_created(
    context: Context, after: str | None, *, include_mine: bool, event_of: Callable[[str, InboxEntry], _Event]
) -> AsyncGenerator[_Event]:
    """Yield the messages that are delivered to the viewer's inbox, once and in order, converted by
    `event_of`.

    With `after`, the messages since that cursor come first. The context's stream begins after the subscriber
    has been attached, so that no message is missed. The generator ends when the stream has caught up and
    shares the inbox. A stream that leads others resumes their inbox and ignores `after`. No database
    connection is held between messages.

    Raises:
        CursorInvalid: `after` is not a cursor of the viewer.
        CursorExpired: `after` has another epoch or is past the end of the inbox, or entries after it have
            been deleted. The generator also raises it if entries are deleted before they have been read.
    """
    viewer = context.require_viewer()
    stream = context.require_stream()
    inbox = stream.led_inbox
    if inbox is None:
        with _rejecting_cursors():
            inbox = await _open(context, viewer, after, include_mine=include_mine, event_of=event_of)
    return _events(inbox, stream, event_of)


async def _open(
    context: Context,
    viewer: User,
    after: str | None,
    *,
    include_mine: bool,
    event_of: Callable[[str, InboxEntry], object],
) -> FollowedInbox:
    """Attach to the viewer's inbox, and begin the context's stream at `after`, or at the end of the inbox."""
    stream = context.require_stream()
    # The event's ID is newer than the variables, which a client repeats unchanged when it reconnects.
    cursor = context.last_event_id or (context.start if after is None else after)
    asked = None if cursor is None else InboxCursor.decode(cursor, viewer.id)
    subscriber = await context.broadcaster.attach(viewer.id)
    try:
        start = await _start(context, viewer, asked)
        inbox = FollowedInbox(
            context.database,
            context.broadcaster,
            subscriber,
            start,
            owner=stream,
            include_mine=include_mine,
            event_of=event_of,
        )
        await stream.begin(start.encode(viewer.id))
    except BaseException:
        context.broadcaster.detach(subscriber)
        raise
    return inbox


async def _start(context: Context, viewer: User, asked: InboxCursor | None) -> InboxCursor:
    """Return the cursor to follow the inbox from: the requested one, or else the end of the inbox.

    Raises:
        ExpiredCursor: the inbox cannot be followed from the requested cursor.
    """
    async with context.connection() as connection:
        state = await inboxes.state(connection, viewer.id)
    if asked is None:
        return InboxCursor(state.epoch, state.last_position)
    if asked.epoch != state.epoch or not state.trimmed_to <= asked.position <= state.last_position:
        raise ExpiredCursor
    return asked


async def _events(
    inbox: FollowedInbox, stream: EventStream, event_of: Callable[[str, InboxEntry], _Event]
) -> AsyncGenerator[_Event]:
    """Follow the inbox, and record each event's position on the stream before yielding it."""
    with _rejecting_cursors():
        async with aclosing(inbox.entries(stream)) as entries:
            async for cursor, entry in entries:
                stream.reach(entry.position, cursor)
                yield event_of(cursor, entry)


@contextmanager
def _rejecting_cursors() -> Generator[None]:
    try:
        yield
    except MalformedCursor as error:
        raise CursorInvalid("after") from error
    except ExpiredCursor as error:
        raise CursorExpired from error
