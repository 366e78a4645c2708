"""The viewer's inbox: where it stands, and what enters it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from db import inboxes
from db.engine import DatabaseUnavailable
from db.records import InboxEntry, Message
from realtime.backoff import Backoff
from realtime.follower import follow
from resolvers.context import Context
from resolvers.cursors import InboxCursor
from resolvers.errors import CursorExpired


async def inbox_cursor(context: Context) -> str:
    """Return the cursor of the end of the viewer's inbox."""
    viewer = context.require_viewer()
    async with context.reading() as connection:
        state = await inboxes.state(connection, viewer.id)
    return InboxCursor(state.epoch, state.last_position).encode(viewer.id)


async def message_created(
    context: Context, after: str | None, *, include_mine: bool
) -> AsyncGenerator[tuple[str, Message]]:
    """Return the messages that enter the viewer's inbox, with their cursors: in order, each once.

    With `after`, everything since that cursor comes first. The context's stream is begun once nothing
    can be missed any more. No database connection is held between messages. A database that does not
    answer is waited for.

    Raises:
        CursorInvalid: `after` is no cursor of the viewer's.
        CursorExpired: its place is of another life of the database, ahead of the inbox, or trimmed away;
            the generator too, when the reader falls behind what is kept.
    """
    viewer = context.require_viewer()
    stream = context.require_stream()
    # It is newer than the variables, which a client that returns sends again as they were.
    if context.last_event_id:
        after = context.last_event_id
    elif after is None:
        after = context.start
    cursor = None if after is None else InboxCursor.decode(after, viewer.id)
    async with AsyncExitStack() as stack:
        subscriber = await stack.enter_async_context(context.broadcaster.subscribe(viewer.id))
        async with context.connection() as connection:
            state = await inboxes.state(connection, viewer.id)
        start = InboxCursor(state.epoch, state.last_position) if cursor is None else cursor
        if start.epoch != state.epoch or not state.trimmed_to <= start.position <= state.last_position:
            raise _expired()

        async def read(*, after: int, limit: int) -> Sequence[InboxEntry]:
            backoff = Backoff()
            while True:
                try:
                    async with context.database.connection() as connection:
                        return await inboxes.read(connection, viewer.id, after=after, limit=limit)
                except inboxes.Trimmed as error:
                    raise _expired() from error
                except DatabaseUnavailable:
                    await backoff.wait()

        async def entries(attached: AsyncExitStack) -> AsyncGenerator[tuple[str, Message]]:
            followed = follow(read, subscriber, after=start.position, caught_up=stream.caught_up)
            async with attached, aclosing(followed):
                async for entry in followed:
                    if include_mine or entry.message.author_id != viewer.id:
                        place = InboxCursor(state.epoch, entry.position).encode(viewer.id)
                        stream.reach(entry.position, place)
                        yield place, entry.message

        await stream.begin(start.encode(viewer.id))
        return entries(stack.pop_all())


def _expired() -> CursorExpired:
    return CursorExpired(
        "`after` is older than what is kept, or of a database before its restore: fetch the"
        " conversations again, and subscribe from a new `inboxCursor`."
    )
