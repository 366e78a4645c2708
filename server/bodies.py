"""Reading request bodies: bounded, and JSON."""

import json
from typing import Any, NoReturn, cast

from starlette.requests import ClientDisconnect, Request

from server.refusals import HttpRefusal


async def read_json_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object that the request carries.

    Raises:
        HttpRefusal: 415 for another content type or a content encoding, 413 over `max_bytes`, 400 for what
            is no JSON object.
    """
    if not _is_utf8_json(request.headers.get("content-type", "")):
        raise HttpRefusal(
            415, "BAD_USER_INPUT", "Send JSON in UTF-8: the content type must be application/json."
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HttpRefusal(415, "BAD_USER_INPUT", "Send the body as it is, without a content encoding.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise HttpRefusal(
                    413,
                    "BAD_USER_INPUT",
                    f"The body is over {max_bytes} bytes.",
                    # What is still under way is not read: the connection cannot be used again.
                    {"connection": "close"},
                )
    except ClientDisconnect as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", "The body was cut off.") from error
    return parse_json_object(bytes(body), "The body")


def parse_json_object(text: bytes | str, what: str) -> dict[str, Any]:
    """Return the JSON object in the text; `what` names it in the refusal.

    Raises:
        HttpRefusal: 400, it is not one.
    """
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} is not JSON.") from error
    if not isinstance(value, dict):
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} must be a JSON object.")
    return cast("dict[str, Any]", value)


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
