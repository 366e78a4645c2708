"""A stream whose client stops reading ends in time, frees what it holds, and is resumed without a loss."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from realtime.follower import FRESH_SECONDS
from tests.conftest import SignIn, sign_in
from tests.schema.own_messages import UPDATE_MESSAGE
from tests.server.endpoints.test_single_connection import Reserved
from tests.support.people import PATIENCE_SECONDS, Person
from tests.support.serving import Server, eventually, running_server

WRITE_SECONDS = 2
SLOW = 'messenger_streams_ended_total{reason="slow reader"}'
# Each event has about 48 kB, so all of them have more than fits into buffers.
MESSAGES = 40
FIELDS = " ".join(f"c{number}: content" for number in range(100))
DOCUMENT = f"subscription {{ messageCreated {{ cursor message {{ {FIELDS} }} }} }}"


@pytest.fixture(scope="module")
def impatient(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("impatient")
    with running_server(
        folder,
        database_url=cluster.url(),
        write_timeout_seconds=str(WRITE_SECONDS),
        heartbeat_seconds="1",
        log_format="json",
    ) as running:
        yield running


@asynccontextmanager
async def opened(server: Server, request: str, begins: bytes) -> AsyncGenerator[socket.socket]:
    """Open a stream on a connection with a small receive buffer, and read as far as it begins."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        await loop.sock_sendall(connection, request.encode())
        received = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while begins not in received:
                received += await loop.sock_recv(connection, 1)
        yield connection


@asynccontextmanager
async def distinct(server: Server, person: Person) -> AsyncGenerator[socket.socket]:
    body = json.dumps({"query": DOCUMENT})
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {person.token}\r\n"
        f"Content-Type: application/json\r\nAccept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with opened(server, head + body, b"id: ") as connection:
        yield connection


@asynccontextmanager
async def reserved(server: Server, person: Person) -> AsyncGenerator[socket.socket]:
    reservation = await Reserved.by(person, (person.http, person.http))
    head = (
        f"GET /graphql/stream?token={reservation.token} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {person.token}\r\nAccept: text/event-stream\r\n\r\n"
    )
    async with opened(server, head, b":\n\n") as connection:
        await reservation.runs(DOCUMENT, "reading slowly")
        yield connection


async def rest_of(connection: socket.socket) -> bytes:
    """Read until the connection ends, closed or reset."""
    received = b""
    try:
        while piece := await asyncio.get_running_loop().sock_recv(connection, 65536):
            received += piece
    except ConnectionError:
        pass
    return received


def created_in(received: bytes) -> list[dict[str, Any]]:
    """Return what the complete events contain; each is on one line."""
    complete, _, _ = received.rpartition(b"\n\n")
    payloads = [json.loads(line[6:]) for line in complete.split(b"\n") if line.startswith(b"data: {")]
    return [payload.get("payload", payload)["data"]["messageCreated"] for payload in payloads]


@pytest.mark.parametrize("stream", [distinct, reserved])
async def test_a_stream_whose_client_stops_reading_ends_in_time_and_is_resumed_without_a_loss(
    impatient: Server, stream: Any
):
    async with httpx.AsyncClient(base_url=impatient.url, timeout=30) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        ended, tasks = impatient.metric(SLOW), impatient.metric("messenger_tasks")
        async with stream(impatient, grace) as connection:
            for number in range(MESSAGES):
                await ada.sends(str(number).ljust(480, "."), to=conversation)
            # In time, and by itself: nothing more is written to it.
            await eventually(lambda: impatient.metric(SLOW) == ended + 1, 10 * WRITE_SECONDS)
            await eventually(lambda: impatient.metric("messenger_open_streams") == 0)
            await eventually(lambda: impatient.metric("messenger_tasks") <= tasks)
            await eventually(lambda: impatient.metric("messenger_database_connections_in_use") == 0)
            async with asyncio.timeout(PATIENCE_SECONDS):
                seen = created_in(await rest_of(connection))
        # Events that were not read have been discarded.
        assert 0 < len(seen) < MESSAGES
        async with grace.listening(after=seen[-1]["cursor"]) as returned:
            later = await returned.contents(MESSAGES - len(seen))
    contents = [each["message"]["c0"] for each in seen] + later
    assert [int(content.rstrip(".")) for content in contents] == list(range(MESSAGES))
    # The server ends the stream on purpose and must not log an error.
    assert [line for line in impatient.log() if line["level"] in {"error", "critical"}] == []


@pytest.mark.parametrize("stream", [distinct, reserved])
async def test_a_message_that_is_edited_while_its_event_waits_for_a_slow_client_arrives_as_edited(
    server: Server, signs_in: SignIn, stream: Any
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with stream(server, grace) as connection:
        sent = [await ada.sends(str(number).ljust(480, "."), to=conversation) for number in range(MESSAGES)]
        edited = {"messageId": sent[-1]["id"], "content": "edited"}
        assert (await ada.asks(UPDATE_MESSAGE, input=edited))["updateMessage"]["userErrors"] == []
        # An event shows its message as it was at most this long before.
        await asyncio.sleep(FRESH_SECONDS)
        received = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(heard := created_in(received)) < MESSAGES:
                received += await asyncio.get_running_loop().sock_recv(connection, 65536)
    contents = [created["message"]["c0"] for created in heard]
    assert contents == [*(str(number).ljust(480, ".") for number in range(MESSAGES - 1)), "edited"]
