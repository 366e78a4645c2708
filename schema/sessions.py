"""Where the viewer is signed in, and signing out elsewhere."""

from datetime import datetime
from typing import Annotated

import strawberry

from db import records
from resolvers import sessions
from resolvers.errors import UserError as UserErrorRaised
from schema.info import Info
from schema.list_sizes import at_most
from schema.node import Node, NodeType
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError


@strawberry.type(description="A sign-in of the viewer's that lasts; nobody else can see it.")
class Session(Node):
    """An open session."""

    created_at: datetime = strawberry.field(description="When the viewer signed in.")
    last_used_at: datetime = strawberry.field(description="When it was last used, to the hour.")
    expires_at: datetime = strawberry.field(description="When it ends unless it is used before.")
    user_agent: str | None = strawberry.field(
        description="What the browser or program called itself at sign-in, up to 200 characters; null when it"
        " did not say. Plain text: show it as such."
    )
    row: strawberry.Private[records.Session]

    @classmethod
    def of(cls, row: records.Session) -> "Session":
        """Show a row."""
        return cls(
            id=NodeType.SESSION.encode(row.id),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
            user_agent=row.user_agent,
            row=row,
        )

    @strawberry.field(description="Whether this request was made with it.")
    def current(self, info: Info) -> bool:
        """Resolve the field."""
        return self.row.id == info.context.session_id


@strawberry.type
class SessionQueries:
    """The part of Query that is about sessions."""

    @strawberry.field(
        description="Where the viewer is signed in: their open sessions, the most recently used first, at"
        " most 100. Tokens of another issuer have no session here.",
        metadata=at_most(sessions.MAX_LISTED),
    )
    async def sessions(self, info: Info) -> list[Session]:
        """Resolve the field."""
        return [Session.of(row) for row in await sessions.viewers(info.context)]


@strawberry.input(description="Which session to end.")
class EndSessionInput:
    """One of the viewer's sessions."""

    session_id: strawberry.ID = strawberry.field(description="One of the viewer's sessions.")


@strawberry.type(description="What became of `endSession`.")
class EndSessionPayload:
    """The ended session's id, or why it was not ended."""

    ended_session_id: strawberry.ID | None = strawberry.field(
        description="The id of the session, which is no more; null with `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type(description="What became of `endOtherSessions`.")
class EndOtherSessionsPayload:
    """The ended sessions' ids."""

    ended_session_ids: list[strawberry.ID] = strawberry.field(
        description="The ids of the sessions, which are no more."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class SessionMutations:
    """The part of Mutation that is about sessions."""

    @strawberry.mutation(
        description="Signs the viewer out of one session: its token is worth nothing from then on, and its"
        " streams end. It may be the one that asks."
    )
    async def end_session(
        self,
        info: Info,
        input: Annotated[EndSessionInput, strawberry.argument(description="Which session to end.")],
    ) -> EndSessionPayload:
        """Resolve the field."""
        try:
            ended = await sessions.end_session(info.context, NodeType.SESSION.decode(input.session_id))
        except UserErrorRaised as error:
            return EndSessionPayload(ended_session_id=None, user_errors=[UserError.of(error)])
        return EndSessionPayload(ended_session_id=NodeType.SESSION.encode(ended), user_errors=[])

    @strawberry.mutation(description="Signs the viewer out everywhere but in the session that asks.")
    async def end_other_sessions(self, info: Info) -> EndOtherSessionsPayload:
        """Resolve the field."""
        ended = await sessions.end_other_sessions(info.context)
        return EndOtherSessionsPayload(
            ended_session_ids=[NodeType.SESSION.encode(session_id) for session_id in ended], user_errors=[]
        )
