"""What a mutation's input can be wrong in, as part of its payload."""

import strawberry

from resolvers import errors

UserErrorCode = strawberry.enum(
    errors.UserErrorCode,
    description="What is wrong with the input.",
)


@strawberry.type(
    description="Something in the input that the person can put right; the mutation then has changed nothing."
    " Everything else that goes wrong is a GraphQL error with `extensions.code`."
)
class UserError:
    """One complaint about one field of the input."""

    code: errors.UserErrorCode = strawberry.field(
        description="What is wrong, for the program to decide on.", graphql_type=UserErrorCode
    )
    message: str = strawberry.field(description="What is wrong and how to put it right, for the person.")
    path: list[str] = strawberry.field(
        description='Where it is wrong, from the mutation\'s argument on: `["input", "content"]`.'
    )

    @classmethod
    def of(cls, error: errors.UserError) -> "UserError":
        """Say what a resolver turned down."""
        return cls(code=error.code, message=error.message, path=error.path)


USER_ERRORS = "Why nothing was changed; empty when all went well."
