"""What the events of an inbox have in common."""

from datetime import datetime

import strawberry

from db.entries import InboxEntry


@strawberry.interface(
    description="Something that reached the viewer. New types may be added at any time: a client that"
    " receives an unknown one keeps its cursor and ignores the rest."
)
class InboxEvent:
    cursor: str | None = strawberry.field(
        description="Opaque position of this event in the viewer's inbox, which is also the ID of the SSE"
        " event. To resume, pass the last one as `after`. Null for events that are not stored."
    )
    occurred_at: datetime = strawberry.field(description="When it happened.")


# For the types of events, whose cursor is never null.
CURSOR = "Opaque position of this event in the viewer's inbox. To resume, pass the last one as `after`."


@strawberry.type(
    description="All events up to `cursor` have been delivered. Sent once after the events that the viewer"
    " had missed, or at once if there were none, and again within 10 seconds after the inbox has moved past"
    " entries that were not requested, so that the cursor to resume from does not fall behind."
)
class CaughtUp(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description="Opaque position in the viewer's inbox. To resume, pass the last one as `after`."
    )

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "CaughtUp":
        return cls(cursor=cursor, occurred_at=entry.created_at)
