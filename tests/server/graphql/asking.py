"""Sends requests unchanged, and parses answers as strictly as the strictest client."""

import asyncio
import json
from typing import Any

import httpx

from tests.support.people import PATIENCE_SECONDS
from tests.support.serving import Server, eventually

JSON = "application/json; charset=utf-8"
GRAPHQL_JSON = "application/graphql-response+json; charset=utf-8"
EVENT_STREAM = "text/event-stream; charset=utf-8"
AS_STREAM = {"accept": "text/event-stream"}
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream,"
    " multipart/mixed"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
VIEWER = "{ viewer { username } }"


async def posts(
    http: httpx.AsyncClient, body: object, accept: str | None = "application/json", **headers: str
) -> httpx.Response:
    """Send a body unchanged, or as JSON; without `accept` the header is absent, which httpx would add."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **headers}
    request = http.build_request("POST", "/graphql", content=content, headers=sent)
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    return await http.send(request)


async def asks(
    http: httpx.AsyncClient, method: str, path: str, body: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    """Request an event stream by GET or POST."""
    sent = {**AS_STREAM, **headers}
    async with asyncio.timeout(PATIENCE_SECONDS):
        if method == "GET":
            return await http.get(path, params=body, headers=sent)
        return await http.post(path, json=body, headers=sent)


def refused(response: httpx.Response, status: int, code: str = "BAD_USER_INPUT") -> str:
    """Return the message of a request that was rejected as a whole, in a well-formed GraphQL answer."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] in {JSON, GRAPHQL_JSON}
    answer = response.json()
    assert set(answer) == {"errors"}
    for error in answer["errors"]:
        assert error["extensions"]["code"] == code
        assert error["message"]
    return answer["errors"][0]["message"]


def executed(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    answer = response.json()
    assert "errors" not in answer, answer
    return answer["data"]


def events(body: bytes) -> list[tuple[str, Any]]:
    """Parse a finished stream as strictly as the strictest client."""
    assert b"\r" not in body
    assert body.endswith(b"\n\n")
    found: list[tuple[str, Any]] = []
    for block in body[:-2].split(b"\n\n"):
        fields = dict(line.split(b":", 1) for line in block.split(b"\n"))
        assert set(fields) <= {b"event", b"id", b"data"}
        data = fields[b"data"].strip()
        found.append((fields[b"event"].strip().decode(), json.loads(data) if data else None))
    return found


SYNTAX_ERROR = {"query": "{ viewer "}
UNKNOWN_FIELD = {"query": "{ viewer { shoeSize } }"}
UNFIT_VARIABLE: dict[str, Any] = {
    "query": "query ($id: ID!) { node(id: $id) { id } }",
    "variables": {"id": {}},
}
MISSING_VARIABLE = {"query": "query ($id: ID!) { node(id: $id) { id } }"}
NOT_EXECUTED: list[dict[str, Any]] = [SYNTAX_ERROR, UNKNOWN_FIELD, UNFIT_VARIABLE, MISSING_VARIABLE]


def logged(server: Server, request_id: str) -> list[dict[str, Any]]:
    """Return the log lines about a request, or none if the last one has not been written yet."""
    lines = [line for line in server.log_path.read_text().splitlines() if request_id in line]
    if not lines or '"event":"request"' not in lines[-1] or not lines[-1].endswith("}"):
        return []
    return [json.loads(line) for line in lines]


async def log_lines(server: Server, request_id: str) -> list[dict[str, Any]]:
    await eventually(lambda: bool(logged(server, request_id)))
    return logged(server, request_id)
