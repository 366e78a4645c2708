"""Reading request bodies: bounded, and JSON."""

import json
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request

from server.refusals import HttpRefusal


async def read_json_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object that the request carries.

    Raises:
        HttpRefusal: 415 for another content type, 413 over `max_bytes`, 400 for what is no JSON object.
    """
    content_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"').lower()
    if content_type.strip().lower() != "application/json" or charset not in {"", "utf-8", "utf8"}:
        raise HttpRefusal(
            415, "BAD_USER_INPUT", "Send JSON in UTF-8: the content type must be application/json."
        )
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
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} is not JSON.") from error
    if not isinstance(value, dict):
        raise HttpRefusal(400, "BAD_USER_INPUT", f"{what} must be a JSON object.")
    return cast("dict[str, Any]", value)
