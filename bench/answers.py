"""Checks that subjects give the same answers before they are compared."""

import json
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.client import HTTPResponse
from itertools import zip_longest
from typing import cast
from uuid import UUID

from bench.http import Address
from schema.node import NodeType

_SECONDS = 30
# Opaque, and therefore different in each server.
_CURSORS = frozenset({"cursor", "startCursor", "endCursor"})
_MISSING = "(missing)"


class AnswersDiffer(Exception):
    """Two subjects answer the same request differently; the message says where."""


def check_same_answers(questions: Mapping[str, tuple[Address, bytes]]) -> None:
    """Send each subject its request, and compare the answers.

    Cursors may differ, and IDs and times may have other formats.

    Raises:
        AnswersDiffer: The answers of two subjects differ, or one has none.
    """
    answers = {name: _answer(address, request) for name, (address, request) in questions.items()}
    [(first_name, first), *others] = answers.items()
    if "errors" in first or not first.get("data"):
        raise AnswersDiffer(f"{first_name} answers {json.dumps(first)}")
    for name, answer in others:
        for difference in differences(first, answer):
            raise AnswersDiffer(f"{first_name} and {name} answer differently: {difference}")


def differences(one: object, other: object, path: str = "") -> Iterator[str]:
    """Yield each path at which two answers differ, with both values."""
    plain, other_plain = _plain(one, path), _plain(other, path)
    if isinstance(one, dict) and isinstance(other, dict):
        mine, theirs = cast("dict[str, object]", one), cast("dict[str, object]", other)
        for key in dict.fromkeys([*mine, *theirs]):
            if key in _CURSORS and isinstance(mine.get(key), str) and isinstance(theirs.get(key), str):
                continue
            values = mine.get(key, _MISSING), theirs.get(key, _MISSING)
            yield from differences(*values, f"{path}.{key}" if path else key)
    elif isinstance(one, list) and isinstance(other, list):
        items = zip_longest(cast("list[object]", one), cast("list[object]", other), fillvalue=_MISSING)
        for number, (item, its) in enumerate(items):
            yield from differences(item, its, f"{path}[{number}]")
    elif plain != other_plain:
        yield f"{path} is {json.dumps(plain)} and {json.dumps(other_plain)}"


def _plain(value: object, path: str) -> object:
    """Return IDs as in the database, times in one format, and other values unchanged."""
    if not isinstance(value, str):
        return value
    if path.endswith(".id"):
        keys = (node_type.decode(value) for node_type in NodeType)
        return next((str(key) for key in keys if isinstance(key, UUID)), value)
    if path.endswith("At"):
        try:
            return datetime.fromisoformat(value).astimezone(UTC).isoformat()
        except ValueError:
            return value
    return value


def _answer(address: Address, request: bytes) -> Mapping[str, object]:
    with socket.create_connection(address, _SECONDS) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        return json.loads(response.read())
