"""The inbox: a type for each kind of its entries, and how to receive them live and in pages.

To add a kind, define its type next to the type of its subject, and add it to `EVENTS` and `InboxEventKind`.
"""

from collections.abc import AsyncGenerator
from enum import Enum
from typing import Annotated, Protocol, cast

import strawberry

from db import entries
from db.entries import CAUGHT_UP, InboxEntry
from realtime.wanted import Wanted
from resolvers import inbox
from schema.inbox_events import CaughtUp, InboxEvent
from schema.info import Info
from schema.list_sizes import PAGED, searching
from schema.look_ahead import message_look_ahead
from schema.messages import MessageCreated, MessageDeleted, MessageUpdated
from schema.read_marks import ReadMarkMoved
from schema.users import UserUpdated


class EventType(Protocol):
    """The type of the events of one kind."""

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> InboxEvent:
        """Return the event of an entry, which has the kind of this type."""
        ...


EVENTS: dict[int, type[EventType]] = {
    entries.CAUGHT_UP: CaughtUp,
    entries.MESSAGE_CREATED: MessageCreated,
    entries.MESSAGE_UPDATED: MessageUpdated,
    entries.MESSAGE_DELETED: MessageDeleted,
    entries.READ_MARK_MOVED: ReadMarkMoved,
    entries.USER_UPDATED: UserUpdated,
}


@strawberry.enum(
    description="The kinds of events that are stored in inboxes. New ones may be added at any time."
)
class InboxEventKind(Enum):
    MESSAGE_CREATED = strawberry.enum_value(entries.MESSAGE_CREATED, description="`MessageCreated`.")
    MESSAGE_UPDATED = strawberry.enum_value(entries.MESSAGE_UPDATED, description="`MessageUpdated`.")
    MESSAGE_DELETED = strawberry.enum_value(entries.MESSAGE_DELETED, description="`MessageDeleted`.")
    READ_MARK_MOVED = strawberry.enum_value(entries.READ_MARK_MOVED, description="`ReadMarkMoved`.")
    USER_UPDATED = strawberry.enum_value(entries.USER_UPDATED, description="`UserUpdated`.")


def event_of(cursor: str, entry: InboxEntry) -> InboxEvent:
    """Return the event of an entry."""
    return EVENTS[entry.kind].of(cursor, entry)


def _kinds(kinds: list[InboxEventKind] | None) -> frozenset[int]:
    """Return the numbers of the kinds. Entries of kinds that this process does not know are left out."""
    given = None if kinds is None else [cast(int, kind.value) for kind in kinds]
    return inbox.checked_kinds(given, frozenset(EVENTS) - {CAUGHT_UP})


@strawberry.type(description="A page of the viewer's inbox, oldest first.")
class InboxEventPage:
    events: list[InboxEvent] = strawberry.field(
        description="The events on this page. Of several events of one kind about the same object, it may"
        " have only the last one, because each shows the current state of the object.",
        metadata=PAGED,
    )
    cursor: str = strawberry.field(
        description="The position up to which the inbox has been read. Pass it as `after` to get the next"
        " page or to the subscription `inboxEvents`."
    )
    has_more: bool = strawberry.field(
        description="Whether the inbox has more entries after this page. A page may have fewer events than"
        " requested, or none, and still have more after it."
    )

    @classmethod
    def of(cls, page: inbox.EventPage) -> "InboxEventPage":
        return cls(
            events=[event_of(cursor, entry) for cursor, entry in page.entries],
            cursor=page.cursor,
            has_more=page.has_more,
        )


@strawberry.type(description="What a badge shows: how much the viewer has not read.")
class UnreadTotals:
    conversations: int = strawberry.field(description="The number of conversations with unread messages.")
    messages: int = strawberry.field(description="The number of unread messages in them.")


_Kinds = Annotated[
    list[InboxEventKind] | None,
    strawberry.argument(
        description="The kinds of events to receive: 1 to 100 values. Without it, all of them, including"
        " those that are added later."
    ),
]


@strawberry.type
class InboxQueries:
    @strawberry.field(
        description="The events after a cursor, for clients that ask for them instead of holding a stream"
        " open: jobs, bots, and handlers of push notifications. If events after `after` have"
        " been deleted, it fails with `CURSOR_EXPIRED`.",
        metadata=searching(inbox.MAX_SEARCH_COST),
    )
    async def inbox_events(
        self,
        info: Info,
        after: Annotated[
            str, strawberry.argument(description="A cursor from `inboxCursor`, an event or an earlier page.")
        ],
        first: Annotated[int, strawberry.argument(description="Maximum number of events: 1 to 100.")] = 100,
        kinds: _Kinds = None,
    ) -> InboxEventPage:
        info.context.event_look_ahead = message_look_ahead(info, "events", "message")
        return InboxEventPage.of(await inbox.page(info.context, after, first=first, kinds=_kinds(kinds)))

    @strawberry.field(description="How many conversations and messages the viewer has not read.")
    async def unread(self, info: Info) -> UnreadTotals:
        totals = await inbox.unread(info.context)
        return UnreadTotals(conversations=totals.conversations, messages=totals.messages)


@strawberry.type
class InboxSubscriptions:
    @strawberry.subscription(
        description="Everything that reaches the viewer, in order, each exactly once. An event shows its"
        " object as it is when the event is delivered, so of several events that were missed, of one kind"
        " about the same object, only the last one may be sent. If events after `after` have"
        " been deleted, it fails with `CURSOR_EXPIRED`: fetch the conversations again,"
        " and subscribe from a new `inboxCursor`. When the session ends, it fails with `UNAUTHENTICATED`."
    )
    async def inbox_events(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="A cursor from `inboxCursor`, an event or a page. The events after it are"
                " delivered first, then new ones. Without it, only new events are delivered. A cursor of"
                " another user fails with `CURSOR_INVALID`."
            ),
        ] = None,
        kinds: _Kinds = None,
        include_mine: Annotated[
            bool,
            strawberry.argument(
                description="Whether to include the viewer's own actions, to keep several devices in sync."
            ),
        ] = True,
    ) -> AsyncGenerator[InboxEvent, None]:
        viewer = info.context.require_viewer()
        info.context.event_look_ahead = message_look_ahead(info, "message")
        wanted = Wanted(viewer.id, _kinds(kinds) | {CAUGHT_UP}, include_mine)
        return await inbox.follow_inbox(info.context, after, wanted, event_of)
