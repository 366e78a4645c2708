"""Answers in the form that clients get: plain data, with a code in every error."""

import json
from collections.abc import Sequence
from typing import Any, Protocol, TypedDict

import orjson
import structlog
from graphql import GraphQLError, GraphQLFormattedError

from resolvers.errors import RateLimited, Refusal

MAX_ERRORS = 100
"""The maximum number of errors listed in an answer."""

log = structlog.stdlib.get_logger(__name__)


class Answer(TypedDict, total=False):
    """A GraphQL response. Without `data`, nothing was executed.

    https://spec.graphql.org/draft/#sec-Response
    """

    data: dict[str, object] | None
    errors: list[GraphQLFormattedError]
    extensions: dict[str, object]


class Result(Protocol):
    """The result of an execution by graphql-core, Strawberry or a plan."""

    @property
    def data(self) -> dict[str, Any] | None:
        """The response; None if an error propagated to its root."""
        ...

    @property
    def errors(self) -> Sequence[GraphQLError] | None:
        """The errors of the response; None if there are none."""
        ...


class Faults:
    """The server's faults in one operation: the first is logged with its traceback, the rest counted."""

    def __init__(self, request_id: str) -> None:
        """Start without faults; the errors that clients get quote `request_id`."""
        self.request_id = request_id
        self._count = 0

    def note(self, path: Sequence[str | int] | None, cause: Exception) -> None:
        """Record that the resolver of the field at `path` failed."""
        if not self._count:
            log.error("field resolution failed", path=path, exc_info=cause)
        self._count += 1

    def note_omitted(self, count: int) -> None:
        """Count errors omitted from an answer: if the listed ones include faults, these likely are too."""
        if self._count:
            self._count += count

    def close(self) -> None:
        """Log the number of faults after the first, if any."""
        if self._count > 1:
            log.error("further field resolutions failed", count=self._count - 1)


def answer_of(result: Result, faults: Faults, *, omitted_errors: int = 0) -> Answer:
    """Return the answer to an operation.

    It has no `data` if the operation was not executed because its variables are invalid. It lists at most
    100 errors. `extensions.omittedErrors` is the number of the others, which includes `omitted_errors`, the
    errors that the result does not contain.
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
    """Return the answer to a request that is rejected before execution."""
    return {"errors": [{"message": message, "extensions": {"code": code}}]}


def last_answer(cause: Refusal) -> Answer:
    """Return the last answer of a stream that ends because of this error."""
    return {"errors": [_of_refusal(GraphQLError(str(cause)), cause)]}


def internal_error_message(request_id: str) -> str:
    """Return the message of an `INTERNAL` error, which hides its cause from clients."""
    return f"An internal error occurred. Include the request ID {request_id} when you report it."


def too_large(max_bytes: int) -> Answer:
    """Return the answer that replaces one of more than `max_bytes`."""
    message = f"The answer is larger than {max_bytes} bytes. Request fewer fields or smaller pages."
    return {"data": None, "errors": [{"message": message, "extensions": {"code": "TOO_COMPLEX"}}]}


def encode_json(value: object) -> bytes:
    """Return JSON in UTF-8. Lone surrogates, which UTF-8 cannot encode, are written as escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson encodes neither lone surrogates nor integers over 64 bits.
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def invalid(errors: Sequence[GraphQLError]) -> Answer:
    """Return the answer to a document or variables with these errors, which are not executed."""
    return {
        "errors": [
            _coded(error, str((error.extensions or {}).get("code", "BAD_USER_INPUT"))) for error in errors
        ]
    }


def codes(answer: Answer) -> set[str]:
    """Return the codes of the answer's errors."""
    return {str(error.get("extensions", {}).get("code")) for error in answer.get("errors", ())}


def _formatted(error: GraphQLError, faults: Faults) -> GraphQLFormattedError:
    cause = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, Refusal):
        return _of_refusal(error, cause)
    # graphql-core raises plain GraphQLErrors only for arguments and variables that do not match the schema.
    if isinstance(cause, GraphQLError):
        return _coded(error, "BAD_USER_INPUT")
    faults.note(error.path, cause)
    request_id = faults.request_id
    masked = GraphQLError(internal_error_message(request_id), nodes=error.nodes, path=error.path)
    return _coded(masked, "INTERNAL", requestId=request_id)


def _of_refusal(error: GraphQLError, cause: Refusal) -> GraphQLFormattedError:
    if isinstance(cause, RateLimited):
        return _coded(error, cause.code, retryAfter=cause.retry_after_seconds)
    return _coded(error, cause.code)


def _coded(error: GraphQLError, code: str, **more: object) -> GraphQLFormattedError:
    formatted = error.formatted
    formatted["extensions"] = {"code": code, **more}
    return formatted
