"""Reading request bodies: bounded, and JSON."""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, cast

import orjson
from starlette.requests import ClientDisconnect, Request

from server.http.framing import cycle_of
from server.http.refusals import HttpRefusal

# A longer content type is none of ours, and would only take up memory.
_MOST_TYPE_CHARS = 200

# Far more than any input needs, and far less than Python's recursion takes.
_MAX_NESTING = 128


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How long a body may be, and how long it may take."""

    max_bytes: int
    within_seconds: float


async def read_json_object(request: Request, limits: BodyLimits) -> dict[str, Any]:
    """Return the JSON object that the request carries.

    Raises:
        HttpRefusal: 415 for another content type or a content encoding, 413 and 408 over the limits, 400 for
            what is no JSON object.
    """
    if not _is_utf8_json(request.headers.get("content-type", "")[:_MOST_TYPE_CHARS]):
        raise HttpRefusal(
            415, "BAD_USER_INPUT", "Send JSON in UTF-8: the content type must be application/json."
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HttpRefusal(415, "BAD_USER_INPUT", "Send the body as it is, without a content encoding.")
    return parse_json_object(await _read(request, limits), "The body")


def parse_json_object(text: bytes | str, what: str) -> dict[str, Any]:
    """Return the JSON object in the text; `what` names it in the refusal.

    Raises:
        HttpRefusal: 400, it is not one, or is nested too deeply.
    """
    try:
        value = _parse(text)
        # Text with fewer brackets cannot be nested more deeply, which is quickly seen.
        nested_too_deeply = _count_brackets(text) > _MAX_NESTING and _is_nested_too_deeply(value)
    except RecursionError:
        value, nested_too_deeply = None, True
    except ValueError as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} is not JSON.") from error
    if nested_too_deeply:
        raise HttpRefusal(
            400, "BAD_USER_INPUT", f"{what} is nested too deeply: at most {_MAX_NESTING} levels are read."
        )
    if not isinstance(value, dict):
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} must be a JSON object.")
    return cast("dict[str, Any]", value)


def _count_brackets(text: bytes | str) -> int:
    if isinstance(text, str):
        return text.count("{") + text.count("[")
    return text.count(b"{") + text.count(b"[")


def _is_nested_too_deeply(value: object) -> bool:
    """Say so without recursion, a level at a time."""
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
        # It may only hold half a surrogate pair, which JSON allows and a refusal further in explains.
        return json.loads(text, parse_constant=_refuse_constant)


async def _read(request: Request, limits: BodyLimits) -> bytes:
    body = bytearray()
    is_there = not cycle_of(request.scope).more_body
    try:
        async with nullcontext() if is_there else asyncio.timeout(limits.within_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_bytes:
                    raise _broken_off(413, f"The body is over {limits.max_bytes} bytes.")
    except ClientDisconnect as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", "The body was cut off.") from error
    except TimeoutError as error:
        raise _broken_off(408, f"The body took over {limits.within_seconds:g} seconds.") from error
    return bytes(body)


def _broken_off(status: int, message: str) -> HttpRefusal:
    """Refuse a body of which more is under way; the connection cannot be used again."""
    return HttpRefusal(status, "BAD_USER_INPUT", message, {"connection": "close"})


@lru_cache(64)
def _is_utf8_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = {
        value.strip('"')
        for name, _, value in (each.partition("=") for each in parameters)
        if name == "charset"
    }
    return media_type == "application/json" and charsets <= {"utf-8", "utf8"}


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python reads although JSON has no such thing."""
    raise ValueError(name)
