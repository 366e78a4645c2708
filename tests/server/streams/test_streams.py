"""Streams start and end without leaving anything behind, and a slow one delays no other."""

import asyncio
import json
import socket
import struct
import sys
import time
from pathlib import Path

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import SignIn, sign_in
from tests.support.clients import http_client
from tests.support.people import MESSAGE_CREATED, Person
from tests.support.serving import Server, eventually, running_server


def subscription_request(
    server: Server, person: Person, document: str = MESSAGE_CREATED, **variables: object
) -> bytes:
    body = json.dumps({"query": document, "variables": variables}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: localhost:{server.port}\r\nAuthorization: Bearer {person.token}\r\n"
        f"Content-Type: application/json\r\nAccept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def aborts_after_subscribing(server: Server, request: bytes, *, how: str) -> None:
    """Subscribe, wait until the stream is live unless `at_once`, and abort the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    if how == "reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.write(request)
    await writer.drain()
    if how != "at once":
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            while not (await reader.readline()).startswith(b"id: "):
                pass
    writer.close()


async def test_a_thousand_aborted_streams_leave_nothing_behind(server: Server, signs_in: SignIn):
    ada = await signs_in("ada")
    request = subscription_request(server, ada)
    await eventually(server.is_idle)
    tasks = server.metric("messenger_tasks")
    for _ in range(20):
        ways = ["close", "reset", "at once"] * 17
        await asyncio.gather(*(aborts_after_subscribing(server, request, how=how) for how in ways[:50]))
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    await eventually(lambda: server.metric("messenger_tasks") <= tasks)
    await eventually(lambda: server.metric("messenger_database_connections_in_use") == 0)


async def test_idle_streams_hold_no_database_connections(server: Server, signs_in: SignIn):
    """With more streams than pooled connections, even after an event, requests are still answered."""
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    request = subscription_request(server, grace)
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(30)]
    try:
        for _, writer in connections:
            writer.write(request)
        for reader, _ in connections:
            await asyncio.wait_for(reader.readuntil(b"id: "), 20)
        await ada.sends("hello", to=conversation)
        for reader, _ in connections:
            await asyncio.wait_for(reader.readuntil(b"hello"), 20)
        await eventually(lambda: server.metric("messenger_database_connections_in_use") == 0)
        assert server.metric("messenger_open_streams") >= 30
    finally:
        for _, writer in connections:
            writer.close()


async def test_events_on_a_live_stream_do_not_read_the_log(server: Server, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with grace.listening() as heard:
        await ada.sends("first", to=conversation)
        await heard.contents(1)
        reads = server.metric("messenger_inbox_log_reads_total")
        for number in range(10):
            await ada.sends(str(number), to=conversation)
        await heard.contents(10)
        assert server.metric("messenger_inbox_log_reads_total") == reads


@pytest.fixture(scope="module")
def impatient_server(cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory):
    """A server that disconnects a reader after two seconds."""
    folder = tmp_path_factory.mktemp("impatient")
    with running_server(folder, database_url=cluster.url(), write_timeout_seconds="2") as running:
        yield running


async def test_a_stalled_reader_is_disconnected_and_misses_nothing(impatient_server: Server):
    """No other stream waits for it, and reconnecting delivers everything."""
    async with http_client(impatient_server.url) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        cursor = await grace.inbox_cursor()
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient_server.port, limit=1024)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(subscription_request(impatient_server, grace, after=cursor))
        await asyncio.wait_for(reader.readuntil(b"id: "), 20)
        async with grace.listening(after=cursor) as heard:
            sent = 0
            end = time.monotonic() + 60
            while impatient_server.metric("messenger_open_streams") > 1:
                assert time.monotonic() < end, "the slow reader was never let go"
                await asyncio.gather(*(ada.sends("x" * 480, to=conversation) for _ in range(50)))
                sent += 50
                await heard.contents(50)
        async with grace.listening(after=cursor) as returned:
            assert await returned.contents(sent) == ["x" * 480] * sent
        writer.close()


def kernel_bytes(server: Server, client_port: int) -> int:
    """Return how much of the response to that client is in kernel buffers, sent or not."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)) == (server.port, client_port):
            return int(queues.split(":")[0], 16)
    raise AssertionError("there is no connection from that port")


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what it holds")
async def test_unread_events_wait_in_the_log_and_not_in_the_kernel(server: Server, http: httpx.AsyncClient):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    # Each event has about 48 kB.
    content = " ".join(f"c{number}: content" for number in range(100))
    document = f"subscription {{ messageCreated {{ cursor message {{ {content} }} }} }}"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    client_port = writer.get_extra_info("sockname")[1]
    writer.write(subscription_request(server, grace, document=document))
    await asyncio.wait_for(reader.readuntil(b"id: "), 20)
    async with grace.listening() as heard:
        for _ in range(60):
            await ada.sends("x" * 480, to=conversation)
            await heard.contents(1)
    assert 0 < kernel_bytes(server, client_port) < 200_000
    received, tail = 0, b""
    async with asyncio.timeout(20):
        while received < 60:
            chunk = tail + await reader.read(65536)
            received += chunk.count(b"event: next")
            tail = chunk[-10:]
    writer.close()
