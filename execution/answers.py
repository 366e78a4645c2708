"""Answers as they go to the client: results as plain data, with a code in every error."""

import json
from collections.abc import Sequence
from typing import Any, Protocol, TypedDict

import orjson
import structlog
from graphql import GraphQLError, GraphQLFormattedError

from resolvers.errors import RateLimited, Refusal

MAX_ERRORS = 100
"""The most errors that an answer lists."""

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


class Faults:
    """The faults of one operation: the first is logged with its traceback, the others are counted."""

    def __init__(self, request_id: str) -> None:
        """Note none yet; `request_id` is what their errors name."""
        self.request_id = request_id
        self._count = 0

    def note(self, path: Sequence[str | int] | None, cause: Exception) -> None:
        """Note that a field could not be resolved."""
        if not self._count:
            log.error("a field could not be resolved", path=path, exc_info=cause)
        self._count += 1

    def note_omitted(self, count: int) -> None:
        """Count errors that an answer does not list: beside faults, they are most likely faults too."""
        if self._count:
            self._count += count

    def close(self) -> None:
        """Log how many there were, if there were more than the first."""
        if self._count > 1:
            log.error("more fields could not be resolved", count=self._count - 1)


def answer_of(result: Result, faults: Faults, *, omitted_errors: int = 0) -> Answer:
    """Return the client's answer to an operation.

    Without `data` it was not executed: its variables do not fit. At most 100 errors are listed, and
    `extensions.omittedErrors` says how many there are beyond these; `omitted_errors` are not in the result.
    """
    errors = result.errors
    if not errors:
        return {"data": result.data}
    omitted_errors += max(0, len(errors) - MAX_ERRORS)
    formatted = [_formatted(error, faults) for error in errors[:MAX_ERRORS]]
    answer: Answer = {"data": result.data, "errors": formatted}
    if result.data is None and all(error.path is None for error in errors):
        del answer["data"]
    if omitted_errors:
        faults.note_omitted(omitted_errors)
        answer["extensions"] = {"omittedErrors": omitted_errors}
    return answer


def refusal(message: str, code: str) -> Answer:
    """Return the answer to a request of which nothing is executed."""
    return {"errors": [{"message": message, "extensions": {"code": code}}]}


def refused(cause: Refusal) -> Answer:
    """Return the last answer of a stream that a rule ends."""
    return {"errors": [_of_refusal(GraphQLError(str(cause)), cause)]}


def too_large(max_bytes: int) -> Answer:
    """Return the answer in place of one that has been given up because it was too large."""
    message = f"The answer is larger than {max_bytes} bytes. Request fewer fields or smaller pages."
    return {"data": None, "errors": [{"message": message, "extensions": {"code": "TOO_COMPLEX"}}]}


def encode_json(value: object) -> bytes:
    """Return JSON in UTF-8; half a surrogate pair stays the escape that it came in as."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Half a surrogate pair, or a number over 64 bits.
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


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


def _formatted(error: GraphQLError, faults: Faults) -> GraphQLFormattedError:
    cause = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, Refusal):
        return _of_refusal(error, cause)
    # The library raises nothing else for arguments and variables that do not fit the schema.
    if isinstance(cause, GraphQLError):
        return _coded(error, "BAD_USER_INPUT")
    faults.note(error.path, cause)
    request_id = faults.request_id
    masked = GraphQLError(
        f"Something went wrong on the server, which has noted it under {request_id}.",
        nodes=error.nodes,
        path=error.path,
    )
    return _coded(masked, "INTERNAL", requestId=request_id)


def _of_refusal(error: GraphQLError, cause: Refusal) -> GraphQLFormattedError:
    if isinstance(cause, RateLimited):
        return _coded(error, cause.code, retryAfter=cause.retry_after_seconds)
    return _coded(error, cause.code)


def _coded(error: GraphQLError, code: str, **more: object) -> GraphQLFormattedError:
    formatted = error.formatted
    formatted["extensions"] = {"code": code, **more}
    return formatted
