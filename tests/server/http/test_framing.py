"""Where requests end on a connection: nothing inside a request is answered as another request.

Each test of upgrades also runs against a server that treats upgrades as accepted, and must fail there.
"""

import asyncio
import json
import re
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.support.serving import Server, running_server

PATIENCE_SECONDS = 30
OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "websocket": b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "TLS": b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
    "two": b"Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: close-not\r\nConnection: UPGRADE\r\n",
}
# A request within a request; if it were answered, there would be one answer more.
INNER = b"GET /health/live HTTP/1.1\r\nHost: inside\r\n\r\n"
LIVE = b'{"status":"live"}'
NEXT = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def query_named(name: str) -> bytes:
    """Return the body of a request whose answer contains the name, and that contains another request."""
    return json.dumps(
        {"query": f"{{ {name}: __typename }}", "extensions": {"inner": INNER.decode()}}
    ).encode()


def post(body: bytes, headers: bytes = b"", *, chunked: bool = False) -> bytes:
    head = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = [body[at : at + 70] for at in range(0, len(body), 70)]
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        + b"0\r\n\r\n"
    )


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes


def answers_in(transferred: bytes) -> list[Answered]:
    """Return the answers that a client reads; all of them have a length."""
    answers: list[Answered] = []
    while transferred:
        head, _, rest = transferred.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert status is not None and length is not None, transferred[:300]
        answers.append(Answered(int(status[1]), rest[: int(length[1])]))
        transferred = rest[int(length[1]) :]
    return answers


async def exchanged(port: int, parts: Sequence[bytes]) -> list[Answered]:
    """Send the parts on one connection, each after the one before has been read; return all answers."""
    [answers] = await exchanged_at_once(port, [parts])
    return answers


async def exchanged_at_once(port: int, conversations: Sequence[Sequence[bytes]]) -> list[list[Answered]]:
    """Do the same on a separate connection for each of them."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in conversations]
    # Read all the time, because received data is lost when a connection is reset.
    reading = [asyncio.create_task(rest_of(reader)) for reader, _ in connections]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for number in range(max(map(len, conversations))):
                for (_, writer), parts in zip(connections, conversations, strict=True):
                    if number < len(parts):
                        writer.write(parts[number])
                # The answer on another connection proves that the server has read what was sent before.
                await is_read(port)
            return [answers_in(received) for received in await asyncio.gather(*reading)]
    finally:
        for _, writer in connections:
            writer.transport.abort()


async def is_read(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(LAST)
    await reader.read()
    writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    received = b""
    try:
        while piece := await reader.read(65536):
            received += piece
    except ConnectionError:
        pass
    return received


@pytest.fixture(scope="module")
def broken(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A server that treats upgrades as accepted."""
    folder = tmp_path_factory.mktemp("broken")
    with running_server(
        folder, sabotage=["accept_upgrades"], database_url=cluster.url(), read_timeout_seconds="2"
    ) as running:
        yield running


@pytest.fixture(params=["as it is", "broken"])
def any_server(
    request: pytest.FixtureRequest, server: Server, broken: Server, monkeypatch: pytest.MonkeyPatch
) -> Server:
    """The server as it is, and the broken one, with which a test must fail."""
    if request.param == "broken":
        # Some answers never come.
        monkeypatch.setattr(sys.modules[__name__], "PATIENCE_SECONDS", 3)
        request.applymarker(pytest.mark.xfail(strict=True, reason="the server takes upgrades for accepted"))
        return broken
    return server


async def expect_three(port: int, conversations: Sequence[Sequence[bytes]]) -> None:
    """Expect exactly the answers to each conversation: a query called `mine`, and two requests after it."""
    for answers in await exchanged_at_once(port, conversations):
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert json.loads(answers[0].body) == {"data": {"mine": "Query"}}
        assert [answer.body for answer in answers[1:]] == [LIVE, LIVE]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_an_upgrade_is_ignored_wherever_the_request_is_split(
    any_server: Server, offer: bytes, chunked: bool
):
    """The request, followed by two more, split in two at every place, and into single bytes."""
    sent = post(query_named("mine"), offer, chunked=chunked) + NEXT + LAST
    cuts = [[sent[:at], sent[at:]] for at in range(1, len(sent))]
    for at in range(0, len(cuts), 150):
        await expect_three(any_server.port, cuts[at : at + 150])
    await expect_three(any_server.port, [[sent[at : at + 1] for at in range(len(sent))]])


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_an_upgrade_of_every_request_is_ignored(any_server: Server, offer: bytes):
    sent = [post(query_named(f"number{number}"), offer) for number in range(20)]
    answers = await exchanged(any_server.port, [b"".join(sent) + LAST])
    assert [json.loads(answer.body) for answer in answers[:-1]] == [
        {"data": {f"number{number}": "Query"}} for number in range(20)
    ]
    assert answers[-1].body == LIVE


async def test_an_upgrade_offered_in_http_1_0_does_not_keep_the_connection(server: Server):
    sent = post(query_named("mine"), OFFERS["h2c"]).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    [answer] = await exchanged(server.port, [sent + NEXT])
    assert json.loads(answer.body) == {"data": {"mine": "Query"}}


async def test_a_server_that_accepts_upgrades_answers_a_request_in_a_body(broken: Server):
    """This is the attack that the other tests rule out."""
    head, body = post(INNER, OFFERS["h2c"]).split(b"\r\n\r\n", 1)
    answers = await exchanged(broken.port, [head + b"\r\n\r\n", body + LAST])
    assert [answer.body for answer in answers[1:]] == [LIVE, LIVE]


async def test_a_tunnel_is_rejected_and_nothing_in_it_is_answered(any_server: Server):
    head = b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(INNER)
    sent = head + INNER
    for answers in await exchanged_at_once(
        any_server.port, [[sent], *([sent[:at], sent[at:]] for at in range(1, len(sent)))]
    ):
        assert [answer.status for answer in answers] == [501]


BROKEN = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + INNER,
    "a tunnel": b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER,
    "a bad chunk": post(b"", chunked=True).replace(b"0\r\n\r\n", b"zz\r\n\r\n") + INNER,
    "two lengths": post(b"{}").replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3")
    + INNER,
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nAccept: a\r\n b\r\n\r\n" + INNER,
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
async def test_a_malformed_request_is_answered_in_order_and_closes_the_connection(
    server: Server, sent: bytes
):
    """The requests before it get their own answers."""
    good = post(query_named("mine"))
    whole = good + NEXT + sent
    cuts = [[whole[:at], whole[at:]] for at in range(len(good), len(whole))]
    for answers in await exchanged_at_once(server.port, cuts):
        assert json.loads(answers[0].body) == {"data": {"mine": "Query"}}
        assert answers[1].body == LIVE
        assert [answer.status >= 400 for answer in answers[2:]] == [True]


async def test_nothing_is_answered_after_the_last_request(server: Server):
    closing = [LAST + INNER, INNER.replace(b"1.1", b"1.0") + INNER]
    for answers in await exchanged_at_once(server.port, [[sent] for sent in closing]):
        assert [answer.body for answer in answers] == [LIVE]


async def test_trailers_are_not_treated_as_headers(server: Server):
    """A proxy has not inspected them."""
    sent = post(b'{"query": "{ __typename }"}', b"Trailer: Authorization\r\n", chunked=True)
    sent = sent.removesuffix(b"\r\n") + b"Authorization: Bearer wrong\r\nUpgrade: h2c\r\n\r\n"
    answers = await exchanged(server.port, [sent + LAST])
    assert [answer.status for answer in answers] == [200, 200]


async def test_an_answer_instead_of_100_continue_closes_the_connection(server: Server):
    """A client that gets an answer instead of `100 Continue` may omit the body: the connection closes."""
    refused = (
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 70\r\n\r\n"
    )
    answers = await exchanged(server.port, [refused, NEXT + LAST])
    assert [answer.status for answer in answers] == [404]
    body = query_named("mine")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head, body = post(body, b"Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
    writer.write(head + b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body + LAST)
        assert [answer.status for answer in answers_in(await rest_of(reader))] == [200, 200]
    writer.transport.abort()


async def test_an_absolute_target_determines_path_and_host(server: Server):
    for target in (b"http://localhost/health/live", b"HTTP://elsewhere:80/health/live?a=b"):
        sent = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert [answer.body for answer in await exchanged(server.port, [sent])] == [LIVE]
    sent = b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert [answer.status for answer in await exchanged(server.port, [sent])] == [200]


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example@localhost",
        b"evil.example\\@localhost",
        b"localhost/path",
        b"a?b",
        b"local\thost",
        b"localhost:evil",
        b"localhost,evil.example",
        b"[::1%25evil.example]",
    ],
)
async def test_a_host_with_other_parts_of_a_url_is_rejected(server: Server, host: bytes):
    [answer] = await exchanged(server.port, [NEXT.replace(b"Host: localhost", b"Host: " + host)])
    assert answer.status == 400
    assert b"not a host and port" in answer.body


async def test_a_target_with_a_user_is_rejected(server: Server):
    sent = b"GET http://evil.example@localhost/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert [answer.status for answer in await exchanged(server.port, [sent])] == [400]


async def test_a_request_with_hundreds_of_headers_is_rejected(server: Server):
    sent = [NEXT.replace(b"\r\n\r\n", b"\r\n" + b"x: y\r\n" * count + b"\r\n") for count in (150, 250)]
    allowed, rejected = [(await exchanged(server.port, [each + LAST]))[0] for each in sent]
    assert (allowed.status, rejected.status) == (200, 431)


async def test_an_invalid_request_with_an_upgrade_gets_the_reason(server: Server):
    """HTTP/1.0 has no chunked encoding, with or without an upgrade."""
    sent = post(query_named("mine"), OFFERS["h2c"], chunked=True).replace(
        b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1
    )
    [answer] = await exchanged(server.port, [sent])
    assert (answer.status, b"Transfer-Encoding" in answer.body) == (400, True)
