"""Bodies that are not JSON, and headers that are hard to parse."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.hostile.sending import QUICK_SECONDS, asks, codes, harmless, sends
from tests.support.people import Person
from tests.support.serving import Server


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b"\x80",
        b'{"query": "\xc3\x28"}',
        b'{"query": "\xed\xa0\x80"',
        b"\x00" * 1000,
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"query":' * 20_000,
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 100_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": -Infinity}}',
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": 01}}',
        b'{"query": "{ __typename }",}',
        b"{'query': '{ __typename }'}",
        b'{"query": "\n"}',
        b'{"query": "{ __typename }"}\x00',
        b"query=%7B__typename%7D",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_body_that_is_not_json_is_rejected(http: httpx.AsyncClient, body: bytes):
    response = await sends(http, body)
    assert (response.status_code, codes(response)) == (400, {"BAD_USER_INPUT"})


async def test_deeply_nested_variables_are_handled(ada: Person):
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    for depth in (10, 100, 500, 900):
        ids = json.loads("[" * depth + "]" * depth)
        assert codes(await asks(ada, query, {"ids": ids})) == {"BAD_USER_INPUT"}
        # A body may have 128 levels, whether its variables are used or not.
        unused = await asks(ada, "{ __typename }", {"unused": ids})
        assert codes(unused) == (set[str]() if depth <= 100 else {"BAD_USER_INPUT"})
    floods: list[list[Any]] = [[None] * 20_000, [[]] * 20_000, ["x"] * 20_000]
    for flood in floods:
        assert codes(await asks(ada, query, {"ids": flood})) == {"BAD_USER_INPUT"}


@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "zstd", "deflate", "x-unknown", "identity, gzip", "gzip, gzip"]
)
async def test_an_encoded_body_is_rejected(http: httpx.AsyncClient, encoding: str):
    response = await sends(http, b'{"query": "{ __typename }"}', {"content-encoding": encoding})
    assert (response.status_code, codes(response)) == (415, {"BAD_USER_INPUT"})


@pytest.mark.parametrize(
    "name",
    [
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-type",
        "cookie",
        "host",
        "last-event-id",
        "origin",
        "sec-fetch-site",
        "x-forwarded-for",
        "x-graphql-event-stream-token",
        "x-request-id",
    ],
)
async def test_every_header_handles_every_value(http: httpx.AsyncClient, name: str):
    for value in (
        b"",
        b",",
        b";",
        b"=",
        b'"',
        b"\\",
        b"\xff\xfe",
        b"\xc3\xa9",
        b"*/*;q=nan, */*;q=1e400, ;q=, */*;q=-1;q=2",
        b"application/json;" * 3000,
        b"a," * 20_000,
        b"Bearer",
        b"Bearer a b c",
        b"bearer \xf0\x9f\x99\x82",
        b"Basic Og==",
        b"messenger-session",
        b"messenger-session=",
        b"messenger-session=\xff; messenger-session=a; =; ;;",
        b"messenger-session=" + b"a" * 50_000,
        b"https://[::1",
        b"https://a@b:c",
        b"http://\xe2\x84\x80.example",
        b"[",
        b"[]:8000",
        b"text/event-stream",
        b"complete",
        b"gzip",
        b"' OR 1=1 --",
        b"${jndi:ldap://x}",
        b"a" * 60_000,
    ):
        headers = {b"content-type": b"application/json", name.encode(): value}
        async with asyncio.timeout(QUICK_SECONDS):
            body = b'{"query": "{ viewer { id } inboxCursor }"}'
            harmless(await http.post("/graphql", content=body, headers=headers))
            login = await http.post("/auth/dev/login", content=b'{"username": "-"}', headers=headers)
        assert harmless(login).status_code in {400, 403, 415}


async def test_a_cookie_that_is_hard_to_parse_takes_little_time(http: httpx.AsyncClient, server: Server):
    """Without the fix of CVE-2024-7592, the standard library takes seconds to unescape such values."""
    for value in ('"' + "\\" * 60_000 + '"', "\\" * 60_000, "=;" * 30_000):
        before = server.cpu_seconds()
        headers = {"cookie": f"messenger-session={value}"}
        response = await http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
        assert response.status_code == (200 if ";" not in value else 431)
        assert server.cpu_seconds() - before < 0.5
