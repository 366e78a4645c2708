"""Answers to slow readers end in time, and many of them do not exhaust the memory."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.people import Person
from tests.support.serving import Server, eventually, running_server

WINDOW_SECONDS = 2
BYTES_PER_SECOND = 200_000
MEBIBYTE = 1024 * 1024
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def strict(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A server that requires fast readers, and has room for few answers."""
    with running_server(
        tmp_path_factory.mktemp("strict"),
        database_url=cluster.url(),
        write_timeout_seconds=str(WINDOW_SECONDS),
        min_read_bytes_per_second=str(BYTES_PER_SECOND),
        max_unread_bytes=str(12 * MEBIBYTE),
        log_format="json",
    ) as running:
        yield running


@pytest.fixture
async def ada(strict: Server) -> AsyncGenerator[Person]:
    async with http_client(strict.url) as http:
        yield await sign_in(http, "ada")


async def large_question(ada: Person) -> bytes:
    """Return a request whose answer is about four million bytes long."""
    grace = await sign_in(ada.http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    message = await ada.sends("\U0001f600" * 480, to=conversation)
    fields = " ".join(f"a{number}: content" for number in range(20))
    document = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Message {{ {fields} }} }} }}"
    body = json.dumps({"query": document, "variables": {"ids": [message["id"]] * 100}}).encode()
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada.token}\r\n"
    return head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@asynccontextmanager
async def asking(
    server: Server, question: bytes, *, buffer_bytes: int = 8192
) -> AsyncGenerator[socket.socket]:
    """Send a request on a connection with a receive buffer of this size."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        await loop.sock_sendall(connection, question)
        yield connection


async def read_at(
    connection: socket.socket, bytes_per_second: int, begun: asyncio.Event | None = None
) -> int:
    """Read at about this rate until the end; return the number of bytes. Set `begun` at the first."""
    loop = asyncio.get_running_loop()
    total = 0
    started = loop.time()
    try:
        while piece := await loop.sock_recv(connection, 16 * 1024):
            total += len(piece)
            if begun is not None:
                begun.set()
            if piece.endswith(b"]}}"):
                break
            await asyncio.sleep(max(0, started + total / bytes_per_second - loop.time()))
    except ConnectionError:
        pass
    return total


def disconnected(server: Server, reason: str) -> float:
    return server.metric(f'messenger_slow_clients_disconnected_total{{reason="{reason}"}}')


async def test_a_client_that_reads_too_slowly_is_disconnected(strict: Server, ada: Person):
    """Neither a client that reads nothing nor one that reads slowly keeps its answer in memory."""
    question = await large_question(ada)
    before = disconnected(strict, "too slow")
    for speed in (BYTES_PER_SECOND // 10, BYTES_PER_SECOND // 2):
        async with asking(strict, question) as connection, asyncio.timeout(PATIENCE_SECONDS):
            assert await read_at(connection, speed) < 4_000_000
    async with asking(strict, question):
        await eventually(lambda: disconnected(strict, "too slow") >= before + 3)


async def test_a_client_that_reads_fast_enough_gets_everything(strict: Server, ada: Person):
    """Over more than one time window."""
    question = await large_question(ada)
    async with asking(strict, question) as connection, asyncio.timeout(PATIENCE_SECONDS):
        started = asyncio.get_running_loop().time()
        assert await read_at(connection, 4 * BYTES_PER_SECOND) > 3_800_000
        assert asyncio.get_running_loop().time() - started > WINDOW_SECONDS


async def test_a_small_unread_answer_does_not_keep_its_connection(strict: Server, ada: Person):
    """It fits into the buffers, and the connection has to close after it."""
    before = disconnected(strict, "too slow")
    question = (await large_question(ada)).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    # Parts of the answer are in kernel buffers; this many answers fill them.
    async with asking(strict, question):
        await eventually(lambda: disconnected(strict, "too slow") > before)


async def test_many_large_answers_disconnect_the_slowest_readers(strict: Server, ada: Person):
    """There is room for three of twenty; a client that reads fast is answered all the time."""
    question = await large_question(ada)
    before = disconnected(strict, "too much unread")
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(asking(strict, question)) for _ in range(20)]
        async with asyncio.TaskGroup() as tasks:
            begun = [asyncio.Event() for _ in connections]
            reading = [
                tasks.create_task(read_at(connection, 2 * BYTES_PER_SECOND, begins))
                for connection, begins in zip(connections, begun, strict=True)
            ]
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*(begins.wait() for begins in begun))
            assert disconnected(strict, "too much unread") >= before + 8
            # With a small buffer, a machine under load would make it slow.
            fast = await stack.enter_async_context(asking(strict, question, buffer_bytes=4 * MEBIBYTE))
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await read_at(fast, 100_000_000) > 3_800_000
            for each in reading:
                each.cancel()
