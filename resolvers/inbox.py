"""The viewer's inbox: where it stands, and what enters it."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, aclosing, contextmanager
from typing import TypeVar, cast

from db import inboxes
from db.records import Message
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
    context: Context, after: str | None, *, include_mine: bool, event_of: Callable[[str, Message], _Event]
) -> AsyncGenerator[_Event]:
    """Return what `event_of` makes of the messages that enter the viewer's inbox and of their cursors.

    They come in order, each once. With `after`, everything since that cursor comes first. The context's
    stream is begun once nothing can be missed any more; one that has come further already goes on from there,
    and it is the stream that says when we are done. No database connection is held between messages.

    Raises:
        CursorInvalid: `after` is no cursor of the viewer's.
        CursorExpired: its place is of another life of the database, ahead of the inbox, or trimmed away;
            the generator too, when the reader falls behind what is kept.
    """
    viewer = context.require_viewer()
    stream = context.require_stream()
    if stream.resumed is not None:
        followed, position = stream.resumed
        # It is the same operation that has begun to follow it.
        return _events(stream, cast("FollowedInbox[_Event]", followed), position, from_log=False)
    # It is newer than the variables, which a client that returns sends again as they were.
    if context.last_event_id:
        after = context.last_event_id
    elif after is None:
        after = context.start
    with _rejecting_cursors():
        cursor = None if after is None else InboxCursor.decode(after, viewer.id)
    subscriber = await context.broadcaster.attach(viewer.id)
    with _rejecting_cursors(), ExitStack() as attached:
        attached.callback(context.broadcaster.detach, subscriber)
        async with context.connection() as connection:
            state = await inboxes.state(connection, viewer.id)
        start = InboxCursor(state.epoch, state.last_position) if cursor is None else cursor
        if start.epoch != state.epoch or not state.trimmed_to <= start.position <= state.last_position:
            raise ExpiredCursor
        followed = FollowedInbox(
            context.database,
            context.broadcaster,
            subscriber,
            state.epoch,
            include_mine=include_mine,
            event_of=event_of,
        )
        await stream.begin(start.encode(viewer.id))
        attached.pop_all()
    return _events(stream, followed, start.position, from_log=True)


async def _events(
    stream: EventStream, followed: FollowedInbox[_Event], after: int, *, from_log: bool
) -> AsyncGenerator[_Event]:
    events = followed.events(
        after, from_log=from_log, caught_up=lambda position: stream.caught_up(position, followed)
    )
    with _rejecting_cursors():
        async with aclosing(events):
            async for position, cursor, event in events:
                stream.reach(position, cursor)
                yield event


@contextmanager
def _rejecting_cursors() -> Generator[None]:
    try:
        yield
    except MalformedCursor as error:
        raise CursorInvalid("after") from error
    except ExpiredCursor as error:
        raise CursorExpired from error
