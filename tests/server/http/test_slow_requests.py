"""Slow requests are cut off when they take too long, and otherwise answered; streams are not cut off."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.serving import Server, eventually, running_server

READ_SECONDS = 3
TRICKLE_SECONDS = 0.05
# The time in which a connection that is due to close must be closed, however busy the machine is.
GRACE_SECONDS = 20

HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
BODY = json.dumps({"query": "{ __typename }"}).encode()


@pytest.fixture(scope="module")
def impatient(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    with running_server(
        tmp_path_factory.mktemp("impatient"),
        database_url=cluster.url(),
        read_timeout_seconds=str(READ_SECONDS),
        heartbeat_seconds="1",
    ) as running:
        yield running


@asynccontextmanager
async def connected(
    server: Server,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def trickle(writer: asyncio.StreamWriter, byte: bytes) -> None:
    """Send this byte repeatedly until the connection is closed."""
    while True:
        writer.write(byte)
        await writer.drain()
        await asyncio.sleep(TRICKLE_SECONDS)


async def answer_while_sending(
    server: Server, first: bytes, trickling: bytes, *, answers_before: int = 0
) -> tuple[bytes, float]:
    """Send `first`, then `trickling` repeatedly; return the answer, and the seconds until it ends."""
    async with connected(server) as (reader, writer):
        started = time.monotonic()
        writer.write(first)
        for _ in range(answers_before):
            await reader.readuntil(b'{"status":"live"}')
        sending = asyncio.create_task(trickle(writer, trickling)) if trickling else None
        try:
            async with asyncio.timeout(READ_SECONDS + GRACE_SECONDS):
                try:
                    return await reader.read(), time.monotonic() - started
                except ConnectionError:
                    return b"", time.monotonic() - started
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)


TOO_SLOW = {
    "nothing": (b"", b"", b""),
    "half a line": (b"GET /", b"", b"408"),
    "an address without end": (b"GET /", b"a", b"408"),
    "a header without end": (GET + b"X: ", b"a", b"408"),
    "empty lines": (b"", b"\r\n", b""),
    "no body": (HEAD + b"Content-Length: 1000\r\n\r\n", b"", b"408"),
    "a body without end": (HEAD + b"Content-Length: 1000\r\n\r\n", b" ", b"408"),
    "chunks without end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", b"408"),
    "a promise": (HEAD + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n", b"", b"408"),
}


async def test_a_request_that_arrives_too_slowly_is_cut_off(impatient: Server):
    async def tries(first: bytes, trickling: bytes, status: bytes) -> None:
        answer, seconds = await answer_while_sending(impatient, first, trickling)
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert answer[:12] == (b"HTTP/1.1 " + status if status else b"")
        assert seconds > READ_SECONDS - 0.5

    async with asyncio.TaskGroup() as tasks:
        for name, each in TOO_SLOW.items():
            tasks.create_task(tries(*each), name=name)


TOO_SLOW_AFTER_AN_ANSWER = {
    "a second head without end": (GET + b"\r\n" + GET + b"X: ", b"a"),
    "empty lines": (GET + b"\r\n", b"\r\n"),
    "a body that is not read": (GET + b"Content-Length: 1000\r\n\r\n", b"a"),
}


async def test_a_slow_request_after_an_answer_is_cut_off_too(impatient: Server):
    async def tries(first: bytes, trickling: bytes) -> None:
        _, seconds = await answer_while_sending(impatient, first, trickling, answers_before=1)
        assert seconds > READ_SECONDS - 0.5

    async with asyncio.TaskGroup() as tasks:
        for name, each in TOO_SLOW_AFTER_AN_ANSWER.items():
            tasks.create_task(tries(*each), name=name)


async def test_a_slow_request_within_the_limit_is_answered(impatient: Server):
    async with connected(impatient) as (reader, writer), asyncio.timeout(2 * READ_SECONDS + GRACE_SECONDS):
        # Head and body each have their own limit; together they take longer than either may.
        now = asyncio.get_running_loop().time
        for part in (HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY), BODY):
            started = now()
            pieces = [part[at : at + 8] for at in range(0, len(part), 8)]
            for number, piece in enumerate(pieces, 1):
                writer.write(piece)
                await asyncio.sleep(started + 0.6 * READ_SECONDS * number / len(pieces) - now())
        assert (await reader.readuntil(b'"Query"}}')).startswith(b"HTTP/1.1 200 ")


async def test_a_reused_connection_is_not_cut_off(impatient: Server):
    async with connected(impatient) as (reader, writer), asyncio.timeout(2 * READ_SECONDS + GRACE_SECONDS):
        for _ in range(6):
            writer.write(GET + b"\r\n")
            await reader.readuntil(b'{"status":"live"}')
            await asyncio.sleep(READ_SECONDS / 4)


async def test_streams_are_not_cut_off(impatient: Server):
    async with http_client(impatient.url) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        async with grace.listening() as stream:
            await asyncio.sleep(2 * READ_SECONDS)
            await ada.sends("still there?", to=conversation)
            assert await stream.contents(1) == ["still there?"]


async def test_many_slow_connections_do_not_delay_other_clients(impatient: Server):
    opened = [await asyncio.open_connection("127.0.0.1", impatient.port) for _ in range(300)]
    try:
        for _, writer in opened:
            writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
        async with http_client(impatient.url) as http:
            assert (await http.post("/graphql", json={"query": "{ __typename }"})).status_code == 200
        async with asyncio.timeout(READ_SECONDS + GRACE_SECONDS):
            answers = await asyncio.gather(*(reader.read() for reader, _ in opened))
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
    finally:
        for _, writer in opened:
            writer.transport.abort()
    await eventually(impatient.is_idle)
