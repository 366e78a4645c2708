"""Answers as they go to the client: results as plain data, with a code in every error."""

from collections.abc import Sequence
from typing import Any, Protocol, TypedDict

import structlog
from graphql import GraphQLError, GraphQLFormattedError

from resolvers.errors import RateLimited, Refusal

log = structlog.stdlib.get_logger(__name__)


class Answer(TypedDict, total=False):
    """A GraphQL response; without `data` nothing was executed.

    https://spec.graphql.org/draft/#sec-Response
    """

    data: dict[str, object] | None
    errors: list[GraphQLFormattedError]
    extensions: dict[str, object]


class Result(Protocol):
    """What an execution comes to, be it graphql-core's or Strawberry's."""

    @property
    def data(self) -> dict[str, Any] | None:
        """The response; null when an error has made it so."""
        ...

    @property
    def errors(self) -> Sequence[GraphQLError] | None:
        """What has failed."""
        ...


def answer_of(result: Result, request_id: str) -> Answer:
    """Return what the client is told of an operation.

    Without `data` it was not executed: its variables do not fit.
    """
    errors = result.errors
    if not errors:
        return {"data": result.data}
    formatted = [_formatted(error, request_id) for error in errors]
    if result.data is None and all(error.path is None for error in errors):
        return {"errors": formatted}
    return {"data": result.data, "errors": formatted}


def refusal(message: str, code: str) -> Answer:
    """Return the answer to a request of which nothing is executed."""
    return {"errors": [{"message": message, "extensions": {"code": code}}]}


def invalid(errors: Sequence[GraphQLError]) -> Answer:
    """Return the answer to a document that is not executed because of these errors."""
    return {
        "errors": [
            _coded(error, str((error.extensions or {}).get("code", "BAD_USER_INPUT"))) for error in errors
        ]
    }


def codes(answer: Answer) -> set[str]:
    """Return the codes of an answer's errors."""
    return {str(error.get("extensions", {}).get("code")) for error in answer.get("errors", ())}


def _formatted(error: GraphQLError, request_id: str) -> GraphQLFormattedError:
    cause = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, RateLimited):
        return _coded(error, cause.code, retryAfter=cause.retry_after_seconds)
    if isinstance(cause, Refusal):
        return _coded(error, cause.code)
    # The library raises nothing else for arguments and variables that do not fit the schema.
    if isinstance(cause, GraphQLError):
        return _coded(error, "BAD_USER_INPUT")
    log.error("a field could not be resolved", path=error.path, exc_info=cause)
    masked = GraphQLError(
        f"Something went wrong on the server, which has noted it under {request_id}.",
        nodes=error.nodes,
        path=error.path,
    )
    return _coded(masked, "INTERNAL", requestId=request_id)


def _coded(error: GraphQLError, code: str, **more: object) -> GraphQLFormattedError:
    formatted = error.formatted
    formatted["extensions"] = {"code": code, **more}
    return formatted
