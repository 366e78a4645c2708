"""Users, and what one asks and changes about them."""

from typing import Annotated

import strawberry

from db import records
from resolvers import users
from resolvers.errors import UserError as UserErrorRaised
from schema.info import Info
from schema.node import Node, NodeType
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError


@strawberry.type(description="Somebody with an account.")
class User(Node):
    """A user, as anybody who is signed in sees them."""

    username: str = strawberry.field(
        description="Unique whatever its case: a letter or digit, then up to 38 letters, digits, `.`, `_`"
        " or `-`. It may change; the id does not."
    )
    avatar_url: str | None = strawberry.field(description="The picture's https address, if there is one.")

    @classmethod
    def of(cls, row: records.User) -> "User":
        """Show a row."""
        return cls(id=NodeType.USER.encode(row.id), username=row.username, avatar_url=row.avatar_url)

    @classmethod
    def of_optional(cls, row: records.User | None) -> "User | None":
        """Show a row, if there is one."""
        return None if row is None else cls.of(row)


@strawberry.type
class UserQueries:
    """The part of Query that is about users."""

    @strawberry.field(description="Who is signed in; null for nobody.")
    async def viewer(self, info: Info) -> User | None:
        """Resolve the field."""
        return User.of_optional(await users.viewer(info.context))

    @strawberry.field(description="The user of that name, whatever its case; null when nobody has it.")
    async def user(
        self,
        info: Info,
        username: Annotated[str, strawberry.argument(description="A whole name, in any case.")],
    ) -> User | None:
        """Resolve the field."""
        return User.of_optional(await users.by_username(info.context, username))

    @strawberry.field(description="Users whose name starts with the text, the viewer left out; by username.")
    async def search_users(
        self,
        info: Info,
        search: Annotated[
            str, strawberry.argument(description="How the name starts, in any case. Empty finds nobody.")
        ],
        first: Annotated[int, strawberry.argument(description="At most how many: 1 to 20.")] = 5,
    ) -> list[User]:
        """Resolve the field."""
        return [User.of(row) for row in await users.search_users(info.context, search, first)]


@strawberry.input(description="What to change of one's profile; what is left out stays as it is.")
class UpdateProfileInput:
    """The new name and picture."""

    username: str | None = strawberry.field(
        default=strawberry.UNSET, description="The new name; null keeps the one there is."
    )
    avatar_url: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The new picture's https address, at most 2,000 ASCII characters; null removes the"
        " picture.",
    )


@strawberry.type(description="What became of `updateProfile`.")
class UpdateProfilePayload:
    """The changed profile, or why it was not changed."""

    user: User | None = strawberry.field(description="The viewer as changed; null with `userErrors`.")
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class UserMutations:
    """The part of Mutation that is about users."""

    @strawberry.mutation(description="Changes the viewer's name or picture.")
    async def update_profile(
        self,
        info: Info,
        input: Annotated[UpdateProfileInput, strawberry.argument(description="What to change.")],
    ) -> UpdateProfilePayload:
        """Resolve the field."""
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
