"""Connections as used by HTTP/1.0 clients, half-closing clients and connection pools."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import SignIn, sign_in
from tests.support.clients import http_client
from tests.support.people import MESSAGE_CREATED, Person
from tests.support.serving import Server, eventually, running_server

PATIENCE_SECONDS = 20
KEEP_ALIVE_SECONDS = 3
MULTIPART = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
GONE = 'messenger_streams_ended_total{reason="client gone"}'


def request(
    person: Person, document: str, *, version: str = "1.1", accept: str = "application/json"
) -> bytes:
    body = json.dumps({"query": document}).encode()
    lines = [
        f"POST /graphql HTTP/{version}",
        "Host: localhost",
        f"Authorization: Bearer {person.token}",
        "Content-Type: application/json",
        f"Accept: {accept}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def connected(
    server: Server, sent: bytes, *, half_closed: bool = False
) -> AsyncGenerator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        if half_closed:
            writer.write_eof()
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield reader
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("accept", ["text/event-stream", MULTIPART])
async def test_a_stream_for_http_1_0_is_not_chunked_and_ends_with_the_connection(
    server: Server, signs_in: SignIn, accept: str
):
    """Its events and heartbeats arrive, whichever way the server writes them."""
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    # The other stream sends the same request, and shares the execution of its events.
    async with (
        grace.listening(),
        connected(server, request(grace, MESSAGE_CREATED, version="1.0", accept=accept)) as reader,
    ):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower() and b"content-length" not in head.lower()
        assert b"connection: close" in head.lower()
        received = b""
        for number in range(3):
            await ada.sends(f"number {number}", to=conversation)
            received += await reader.readuntil(f"number {number}".encode())
        heartbeat = b":\n\n" if accept == "text/event-stream" else b"{}"
        received += await reader.readuntil(heartbeat)
        ended = await grace.http.post("/auth/logout", headers=grace.headers)
        assert ended.status_code in {200, 204}
        received += await reader.read()
    if accept == "text/event-stream":
        names = (b"event: ", b"id: ", b"data: ", b":", b"data:")
        assert all(line.startswith(names) for line in received.split(b"\n") if line), received
    else:
        parts = received.split(b"--graphql")
        assert [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in parts[1:-1]], received
        assert parts[-1] == b"--\r\n"


async def test_other_answers_to_http_1_0_have_a_length(server: Server, signs_in: SignIn):
    ada = await signs_in("ada")
    async with connected(server, request(ada, "{ viewer { username } }", version="1.0")) as reader:
        head, body = (await reader.read()).split(b"\r\n\r\n", 1)
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body) == {"data": {"viewer": {"username": ada.username}}}


async def test_a_half_closed_client_gets_its_answers(server: Server, signs_in: SignIn):
    """Including the answers to earlier requests."""
    ada = await signs_in("ada")
    asked = request(ada, "{ viewer { username } }")
    for count in (1, 3):
        async with connected(server, asked * count, half_closed=True) as reader:
            assert (await reader.read()).count(ada.username.encode()) == count


async def test_a_client_that_half_closes_within_a_request_is_disconnected(server: Server, signs_in: SignIn):
    ada = await signs_in("ada")
    asked = request(ada, "{ viewer { username } }")
    for cut in (10, len(asked) - 1):
        async with connected(server, asked[:cut], half_closed=True) as reader:
            assert await reader.read() == b""


async def test_a_stream_continues_for_a_half_closed_client(server: Server, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    sent = request(grace, MESSAGE_CREATED, accept="text/event-stream")
    async with connected(server, sent, half_closed=True) as reader:
        await reader.readuntil(b"id: ")
        for number in range(3):
            await ada.sends(f"number {number}", to=conversation)
            await reader.readuntil(f"number {number}".encode())
            # Past the heartbeats with which the server checks whether the client still reads.
            await reader.readuntil(b":\n\n")
            await reader.readuntil(b":\n\n")


async def test_a_disconnected_client_is_noticed_before_the_next_heartbeat(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("calm")
    with running_server(folder, database_url=cluster.url(), heartbeat_seconds="15") as server:
        async with http_client(server.url) as http:
            ada = await sign_in(http, "ada")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request(ada, MESSAGE_CREATED, accept="text/event-stream"))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await reader.readuntil(b"id: ")
            # Read everything first, so that the connection closes with FIN, as most do.
            writer.close()
            await eventually(lambda: server.metric(GONE) == 1, 10)


@pytest.fixture(scope="module")
def brief(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A server that keeps idle connections only briefly."""
    with running_server(
        tmp_path_factory.mktemp("brief"),
        database_url=cluster.url(),
        keep_alive_seconds=str(KEEP_ALIVE_SECONDS),
    ) as running:
        yield running


async def idle_seconds(server: Server) -> float:
    loop = asyncio.get_running_loop()
    live = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with connected(server, live) as reader:
        await reader.readuntil(b"}")
        started = loop.time()
        assert await reader.read() == b""
        return loop.time() - started


async def test_idle_connections_are_kept_as_long_as_configured(brief: Server, server: Server):
    assert await idle_seconds(brief) > KEEP_ALIVE_SECONDS - 1
    # The default is longer than that, and longer than this test can wait.
    with pytest.raises(TimeoutError):
        await idle_seconds(server)
