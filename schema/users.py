"""Users: finding them, and the viewer's profile."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from db import records
from db.entries import InboxEntry
from resolvers import users
from resolvers.errors import UserError as UserErrorRaised
from schema.inbox_events import CURSOR, InboxEvent
from schema.info import Info
from schema.node import Node, NodeType
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError


@strawberry.type(description="A user of the messenger.")
class User(Node):
    username: str = strawberry.field(
        description="Unique (case-insensitive): a letter or digit, then up to 38 letters, digits, `.`, `_` or"
        " `-`. The username can change; the ID cannot. A removed user has a placeholder that starts with `-`."
    )
    avatar_url: str | None = strawberry.field(
        description="HTTPS URL of the user's picture, or null if there is none."
    )

    removed_at: datetime | None = strawberry.field(
        description="When the account was removed; null if it exists. The messages of a removed user stay,"
        " their username and picture do not."
    )

    @classmethod
    def of(cls, row: records.User) -> "User":
        return cls(
            id=NodeType.USER.encode(row.id),
            username=row.username,
            avatar_url=row.avatar_url,
            removed_at=row.removed_at,
        )

    @classmethod
    def of_optional(cls, row: records.User | None) -> "User | None":
        return None if row is None else cls.of(row)


@strawberry.type
class UserQueries:
    @strawberry.field(
        description="The signed-in user; null if the request has no token. An invalid or expired token"
        " fails with `UNAUTHENTICATED`."
    )
    async def viewer(self, info: Info) -> User | None:
        return User.of_optional(await users.viewer(info.context))

    @strawberry.field(description="The user with this username, or null if it does not exist.")
    async def user(
        self,
        info: Info,
        username: Annotated[str, strawberry.argument(description="Full username (case-insensitive).")],
    ) -> User | None:
        return User.of_optional(await users.by_username(info.context, username))

    @strawberry.field(
        description="Users whose username starts with the text, except the viewer, ordered by username."
    )
    async def search_users(
        self,
        info: Info,
        search: Annotated[
            str,
            strawberry.argument(
                description="Start of the username (case-insensitive). An empty text matches no users."
            ),
        ],
        first: Annotated[
            int, strawberry.argument(description="Maximum number of users to return: 1 to 20.")
        ] = 5,
    ) -> list[User]:
        return [User.of(row) for row in await users.search_users(info.context, search, first)]


@strawberry.input(description="Changes to the viewer's profile. Omitted fields stay unchanged.")
class UpdateProfileInput:
    username: str | None = strawberry.field(
        default=strawberry.UNSET, description="The new username; null leaves it unchanged."
    )
    avatar_url: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="HTTPS URL of the new picture, at most 2,000 ASCII characters; null removes the picture.",
    )


@strawberry.type(description="The result of `updateProfile`.")
class UpdateProfilePayload:
    user: User | None = strawberry.field(
        description="The viewer with the changes applied; null if there are `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class UserMutations:
    @strawberry.mutation(
        description="Changes the viewer's username or picture. Everyone who has a conversation with the"
        " viewer is notified, so changes have a rate limit of their own. User errors: `BLANK`, `TOO_LONG`,"
        " `INVALID`, `TAKEN`."
    )
    async def update_profile(
        self,
        info: Info,
        input: Annotated[UpdateProfileInput, strawberry.argument(description="The changes to apply.")],
    ) -> UpdateProfilePayload:
        try:
            row = await users.update_profile(
                info.context,
                username=None if input.username is strawberry.UNSET else input.username,
                avatar_url=None if input.avatar_url is strawberry.UNSET else input.avatar_url,
                keep_avatar=input.avatar_url is strawberry.UNSET,
            )
        except UserErrorRaised as error:
            return UpdateProfilePayload(user=None, user_errors=[UserError.of(error)])
        return UpdateProfilePayload(user=User.of(row), user_errors=[])


@strawberry.type(
    description="The viewer, or a user with whom the viewer has a conversation, has changed their name or"
    " picture, or has been removed."
)
class UserUpdated(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description=CURSOR
    )
    user_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "UserUpdated":
        return cls(cursor=cursor, occurred_at=entry.created_at, user_id=entry.subject_id)

    @strawberry.field(description="The user in its current state.")
    async def user(self, info: Info) -> User:
        return User.of(await users.of_event(info.context, self.user_id))
