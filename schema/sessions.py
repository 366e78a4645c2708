"""The viewer's sessions: listing them, and ending them."""

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


@strawberry.type(description="An active session of the viewer. Other users cannot see it.")
class Session(Node):
    created_at: datetime = strawberry.field(description="When the viewer signed in.")
    last_used_at: datetime = strawberry.field(
        description="When the session was last used, accurate to an hour."
    )
    expires_at: datetime = strawberry.field(
        description="When the session expires if it is not used before then."
    )
    user_agent: str | None = strawberry.field(
        description="The User-Agent header sent at sign-in, up to 200 characters; null if there was none."
        " Plain text: do not render it as HTML."
    )
    row: strawberry.Private[records.Session]

    @classmethod
    def of(cls, row: records.Session) -> "Session":
        return cls(
            id=NodeType.SESSION.encode(row.id),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
            user_agent=row.user_agent,
            row=row,
        )

    @strawberry.field(description="Whether this request uses the session.")
    def current(self, info: Info) -> bool:
        return self.row.id == info.context.session_id


@strawberry.type
class SessionQueries:
    @strawberry.field(
        description="The viewer's active sessions, most recently used first, at most 100. JWTs of other"
        " issuers have no session.",
        metadata=at_most(sessions.MAX_LISTED),
    )
    async def sessions(self, info: Info) -> list[Session]:
        return [Session.of(row) for row in await sessions.viewers(info.context)]


@strawberry.input(description="The session to end.")
class EndSessionInput:
    session_id: strawberry.ID = strawberry.field(description="ID of one of the viewer's sessions.")


@strawberry.type(description="The result of `endSession`.")
class EndSessionPayload:
    ended_session_id: strawberry.ID | None = strawberry.field(
        description="ID of the session that was ended; null if there are `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type(description="The result of `endOtherSessions`.")
class EndOtherSessionsPayload:
    ended_session_ids: list[strawberry.ID] = strawberry.field(
        description="IDs of the sessions that were ended."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class SessionMutations:
    @strawberry.mutation(
        description="Ends one of the viewer's sessions, which may be the current one: revokes its token and"
        " closes its streams. User errors: `NOT_FOUND`."
    )
    async def end_session(
        self,
        info: Info,
        input: Annotated[EndSessionInput, strawberry.argument(description="The session to end.")],
    ) -> EndSessionPayload:
        try:
            ended = await sessions.end_session(info.context, NodeType.SESSION.decode(input.session_id))
        except UserErrorRaised as error:
            return EndSessionPayload(ended_session_id=None, user_errors=[UserError.of(error)])
        return EndSessionPayload(ended_session_id=NodeType.SESSION.encode(ended), user_errors=[])

    @strawberry.mutation(description="Ends all of the viewer's sessions except the current one.")
    async def end_other_sessions(self, info: Info) -> EndOtherSessionsPayload:
        ended = await sessions.end_other_sessions(info.context)
        return EndOtherSessionsPayload(
            ended_session_ids=[NodeType.SESSION.encode(session_id) for session_id in ended], user_errors=[]
        )
