"""Reading JSON request bodies, within limits on their size and duration."""

import asyncio
import json
from dataclasses import dataclass
from functools import lru_cache
from time import thread_time
from typing import Any, NoReturn, cast

import orjson
from starlette.requests import ClientDisconnect, Request

from execution.budgets import UNLIMITED, WORK_PER_SECOND, Budget
from server.config.settings import Settings
from server.http.exchange import exchange_of
from server.http.headers import first_headers
from server.http.refusals import HttpRefusal

# No supported content type is longer, and longer ones would fill the cache.
_MAX_TYPE_CHARS = 200

# Far more than any input needs, and far less than Python's recursion limit.
_MAX_NESTING = 128
# An object or array takes up to a microsecond, and so does each value of a list once it becomes an ID. The
# brackets and commas in strings count too: the largest GraphQL documents have a quarter as many.
_MAX_BRACKETS = 10_000
_MAX_COMMAS = 10_000
# Shorter JSON takes less time than measuring it is worth: a tenth of a millisecond at most.
_UNCHARGED_CHARS = 2048


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The maximum size of a body, and how long it may take to arrive."""

    max_bytes: int
    within_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "BodyLimits":
        """Return the limits of the settings."""
        return cls(settings.max_body_bytes, settings.read_timeout_seconds)


async def read_json_object(
    request: Request, limits: BodyLimits, budget: Budget = UNLIMITED
) -> dict[str, Any]:
    """Read the request's body, a JSON object; parsing a long one is charged to the budget.

    Raises:
        HttpRefusal: 415, the content type is not JSON, or there is a content encoding; 413 or 408, it exceeds
            a limit; 400, it is not a JSON object.
        RateLimited: it is long, and the budget is exhausted.
    """
    headers = first_headers(request.scope)
    if not _is_utf8_json(headers.get(b"content-type", b"")[:_MAX_TYPE_CHARS]):
        raise HttpRefusal(
            415, "BAD_USER_INPUT", "Send JSON in UTF-8, with the content type application/json."
        )
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise HttpRefusal(415, "BAD_USER_INPUT", "Content encodings are not supported. Send plain JSON.")
    body = exchange_of(request.scope).take_body()
    if body is None:
        body = await _receive(request, limits)
    elif len(body) > limits.max_bytes:
        raise _too_large(limits)
    return parse_json_object(body, "The body", budget)


def parse_json_object(text: bytes | str, what: str, budget: Budget = UNLIMITED) -> dict[str, Any]:
    """Parse a JSON object; `what` names it in error messages. Long text is charged to the budget.

    Raises:
        HttpRefusal: 400, the text is something else, or has too many brackets, commas or levels.
        RateLimited: the text is long, and the budget is exhausted.
    """
    if len(text) <= _UNCHARGED_CHARS:
        return _parsed_object(text, what)
    budget.check()
    started = thread_time()
    try:
        return _parsed_object(text, what)
    finally:
        budget.charge((thread_time() - started) * WORK_PER_SECOND)


def _parsed_object(text: bytes | str, what: str) -> dict[str, Any]:
    # Counting brackets is fast, and text with few of them cannot be nested too deeply.
    brackets = _count(text, "{") + _count(text, "[")
    if brackets > _MAX_BRACKETS:
        raise HttpRefusal(
            400,
            "BAD_USER_INPUT",
            f"{what} has more than {_MAX_BRACKETS} opening brackets. Send fewer objects and arrays.",
        )
    if len(text) > _MAX_COMMAS and _count(text, ",") > _MAX_COMMAS:
        raise HttpRefusal(
            400, "BAD_USER_INPUT", f"{what} has more than {_MAX_COMMAS} commas. Send fewer values."
        )
    try:
        value = _parse(text)
        nested_too_deeply = brackets > _MAX_NESTING and _is_nested_too_deeply(value)
    except RecursionError:
        value, nested_too_deeply = None, True
    except ValueError as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} is not JSON.") from error
    if nested_too_deeply:
        raise HttpRefusal(
            400, "BAD_USER_INPUT", f"{what} is nested too deeply. The limit is {_MAX_NESTING} levels."
        )
    if not isinstance(value, dict):
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} must be a JSON object.")
    return cast("dict[str, Any]", value)


def _count(text: bytes | str, char: str) -> int:
    return text.count(char) if isinstance(text, str) else text.count(ord(char))


def _is_nested_too_deeply(value: object) -> bool:
    """Check the depth level by level, without recursion."""
    level = [value]
    for _ in range(_MAX_NESTING + 1):
        deeper: list[object] = []
        for each in level:
            if isinstance(each, dict):
                deeper += cast("dict[str, object]", each).values()
            elif isinstance(each, list):
                deeper += cast("list[object]", each)
        if not deeper:
            return False
        level = deeper
    return True


def _parse(text: bytes | str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # orjson rejects lone surrogates, which JSON allows. Validating the input rejects them with a reason.
        return json.loads(text, parse_constant=_refuse_constant)


async def _receive(request: Request, limits: BodyLimits) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(limits.within_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_bytes:
                    raise _too_large(limits)
    except ClientDisconnect as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", "The body is incomplete.") from error
    except TimeoutError as error:
        raise _incomplete(
            408, f"The body did not arrive within {limits.within_seconds:g} seconds."
        ) from error
    # A long part has paused reading, and a stream has to notice when its client disconnects.
    exchange_of(request.scope).flow.resume_reading()
    return bytes(body)


def _too_large(limits: BodyLimits) -> HttpRefusal:
    return _incomplete(413, f"The body is larger than {limits.max_bytes} bytes.")


def _incomplete(status: int, message: str) -> HttpRefusal:
    """Reject a body that has not been read to its end, so the connection cannot be reused."""
    return HttpRefusal(status, "BAD_USER_INPUT", message, {"connection": "close"})


@lru_cache(64)
def _is_utf8_json(content_type: bytes) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.decode("latin-1").split(";"))
    charsets = {
        value.strip('"')
        for name, _, value in (each.partition("=") for each in parameters)
        if name == "charset"
    }
    return media_type == "application/json" and charsets <= {"utf-8", "utf8"}


def _refuse_constant(name: str) -> NoReturn:
    """Reject NaN and the infinities, which Python's parser accepts although they are not JSON."""
    raise ValueError(name)
