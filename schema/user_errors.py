"""Errors in a mutation's input, returned in its payload."""

from enum import Enum

import strawberry

from resolvers import errors
from schema.list_sizes import at_most


@strawberry.enum(description="What is wrong with a mutation's input.")
class UserErrorCode(Enum):
    """The codes of `resolvers.errors.UserErrorCode`, with descriptions."""

    BLANK = strawberry.enum_value("BLANK", description="The value has no visible text.")
    TOO_LONG = strawberry.enum_value("TOO_LONG", description="The value is too long.")
    INVALID = strawberry.enum_value("INVALID", description="The value is not allowed. The message says why.")
    NOT_FOUND = strawberry.enum_value(
        "NOT_FOUND",
        description="The value refers to an object that does not exist or that the viewer cannot see.",
    )
    TAKEN = strawberry.enum_value("TAKEN", description="Another user already has this value.")
    SELF = strawberry.enum_value("SELF", description="The value is the viewer's own username.")
    NOT_ALLOWED = strawberry.enum_value(
        "NOT_ALLOWED", description="The viewer can see the object, but must not change it in this way."
    )
    CONFLICT = strawberry.enum_value(
        "CONFLICT", description="The object has changed since the version that the client has seen."
    )
    TOO_LATE = strawberry.enum_value("TOO_LATE", description="The time for this change has passed.")


@strawberry.type(
    description="An error in the input that the user can fix. The mutation has not changed anything. All"
    " other errors are GraphQL errors with a code in `extensions.code`."
)
class UserError:
    code: UserErrorCode = strawberry.field(description="What is wrong, for the client to act on.")
    message: str = strawberry.field(description="What is wrong and how to fix it, to show to the user.")
    path: list[str] = strawberry.field(
        description='Path of the invalid value from the mutation\'s argument, such as `["input", "content"]`.'
    )

    @classmethod
    def of(cls, error: errors.UserError) -> "UserError":
        return cls(code=UserErrorCode[error.code.name], message=error.message, path=error.path)


ONE_USER_ERROR = at_most(1)
"""The metadata of a payload's `userErrors`: a resolver stops at the first error."""

USER_ERRORS = "Errors in the input that the user can fix; empty if the mutation succeeded."
