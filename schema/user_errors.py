"""What a mutation's input can be wrong in, as part of its payload."""

from enum import Enum

import strawberry

from resolvers import errors
from schema.list_sizes import at_most


@strawberry.enum(description="What is wrong with a mutation's input.")
class UserErrorCode(Enum):
    """The codes of `resolvers.errors.UserErrorCode`, described."""

    BLANK = strawberry.enum_value("BLANK", description="It says nothing: give some text.")
    TOO_LONG = strawberry.enum_value("TOO_LONG", description="It is longer than allowed: shorten it.")
    INVALID = strawberry.enum_value(
        "INVALID", description="It cannot be used as it is; the message says what it should be."
    )
    NOT_FOUND = strawberry.enum_value(
        "NOT_FOUND", description="What it names does not exist, or is not the viewer's to see."
    )
    TAKEN = strawberry.enum_value("TAKEN", description="Somebody else has it: choose another.")
    SELF = strawberry.enum_value("SELF", description="It names the viewer: choose somebody else.")


@strawberry.type(
    description="Something in the input that the person can put right; the mutation then has changed nothing."
    " Everything else that goes wrong is a GraphQL error with `extensions.code`."
)
class UserError:
    """One complaint about one field of the input."""

    code: UserErrorCode = strawberry.field(description="What is wrong, for the program to decide on.")
    message: str = strawberry.field(description="What is wrong and how to put it right, for the person.")
    path: list[str] = strawberry.field(
        description='Where it is wrong, from the mutation\'s argument on: `["input", "content"]`.'
    )

    @classmethod
    def of(cls, error: errors.UserError) -> "UserError":
        """Say what a resolver turned down."""
        return cls(code=UserErrorCode[error.code.name], message=error.message, path=error.path)


ONE_USER_ERROR = at_most(1)
"""The metadata of a payload's `userErrors`: a resolver stops at the first."""

USER_ERRORS = "Why nothing was changed; empty when all went well."
