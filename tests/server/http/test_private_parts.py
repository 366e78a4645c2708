"""Private parts of uvicorn and nats-py that the product relies on still behave as expected.

If one of these tests fails, the library has changed: see server/http/framing.py or realtime/relays/nats.py.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from typing import Any, cast

import httptools
import nats.errors
import pytest
import uvicorn
from nats.aio.client import Client
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from realtime.relays import nats as relay

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


class Memory(asyncio.Transport):
    """A transport that records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Uvicorn:
    """A connection to uvicorn, and what its application does."""

    def __init__(self, *bodies: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.go_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.scopes.append(scope)
            await self.go_on.wait()
            self.received.append(await receive())
            if self.received[-1]["type"] == "http.disconnect":
                return
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for number, body in enumerate(bodies, 1):
                if self.cycle.chunked_encoding is False:
                    self.cycle.expected_content_length = len(body)
                more = number < len(bodies)
                await send({"type": "http.response.body", "body": body, "more_body": more})

        config = uvicorn.Config(app, ws="none", log_config=None)
        config.load()
        self.protocol = HttpToolsProtocol(config, ServerState(), {})
        self.transport = Memory()
        self.protocol.connection_made(self.transport)

    @property
    def cycle(self) -> RequestResponseCycle:
        return self.protocol.cycle

    async def answer(self) -> bytes:
        self.go_on.set()
        while self.protocol.tasks:
            await asyncio.wait([*self.protocol.tasks])
        return self.transport.written


async def test_the_parser_can_be_replaced_within_a_connection():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(GET)
    connection.protocol.parser = httptools.HttpRequestParser(connection.protocol)
    connection.protocol.data_received(GET)
    assert (await connection.answer()).count(b"HTTP/1.1 200 ") == 2


async def test_headers_are_appended_to_the_list_in_the_scope():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(GET)
    assert connection.protocol.headers is connection.protocol.scope["headers"]
    connection.protocol.on_header(b"A", b"b")
    assert connection.protocol.headers[-1] == (b"a", b"b")
    await connection.answer()


async def test_on_headers_complete_creates_the_cycle_and_starts_the_current_application():
    connection = Uvicorn(b"a")
    others: list[Any] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        others.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    connection.protocol.app = cast(Any, other)
    connection.protocol.data_received(GET)
    assert connection.cycle.scope is connection.protocol.scope
    assert (await connection.answer()).startswith(b"HTTP/1.1 204 ")
    assert others == [connection.cycle.scope] and connection.scopes == []


async def test_the_newest_waiting_request_is_first_in_the_pipeline():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(GET * 3)
    assert len(connection.protocol.pipeline) == 2
    assert connection.protocol.pipeline[0][0] is connection.cycle
    assert (await connection.answer()).count(b"HTTP/1.1 200 ") == 3


async def test_without_keep_alive_the_connection_is_closed_after_the_response():
    for keep_alive in (True, False):
        connection = Uvicorn(b"a", headers=[(b"content-length", b"1")])
        connection.protocol.data_received(GET)
        connection.cycle.keep_alive = keep_alive
        assert (b"connection: close" in await connection.answer()) is not keep_alive
        assert connection.transport.is_closed is not keep_alive


async def test_the_protocol_is_told_when_a_response_is_complete_and_starts_the_next_request():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(GET * 2)
    [waiting] = [each for each, _ in connection.protocol.pipeline]
    assert await connection.answer()
    assert waiting.response_complete
    assert connection.protocol.server_state.total_requests == 2
    assert connection.protocol.timeout_keep_alive_task is not None
    connection.protocol._unset_keepalive_if_required()  # pyright: ignore[reportPrivateUsage]  # idle_timeout.py overrides it
    assert connection.protocol.timeout_keep_alive_task is None


async def test_default_headers_are_in_every_response():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(GET)
    connection.cycle.default_headers = [(b"x-name", b"value")]
    assert b"\r\nx-name: value\r\n" in await connection.answer()


async def test_receiving_the_whole_body_empties_it_and_clears_the_event():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(POST + b"hello")
    cycle = connection.cycle
    assert (bytes(cycle.body), cycle.more_body, cycle.message_event.is_set()) == (b"hello", False, True)
    assert (await cycle.receive())["type"] == "http.request"
    assert (bytes(cycle.body), cycle.message_event.is_set()) == (b"", False)
    connection.protocol.connection_lost(None)
    await connection.answer()


async def test_a_body_that_is_not_chunked_is_written_unchanged():
    connection = Uvicorn(b"one", b"three", b"")
    connection.protocol.data_received(GET)
    connection.cycle.chunked_encoding = False
    head, body = (await connection.answer()).split(b"\r\n\r\n")
    assert (b"transfer-encoding" in head, body) == (False, b"onethree")
    assert connection.cycle.response_complete


async def test_the_cycle_shows_the_progress_of_its_request():
    connection = Uvicorn(b"a")
    connection.protocol.data_received(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    cycle = connection.cycle
    assert (cycle.more_body, cycle.waiting_for_100_continue) == (True, True)
    connection.protocol.data_received(b"hello")
    assert (cycle.more_body, cycle.response_started, cycle.response_complete) == (False, False, False)
    await connection.answer()
    assert not cycle.waiting_for_100_continue
    assert (cycle.response_started, cycle.response_complete) == (True, True)


async def test_a_request_ends_quietly_when_its_cycle_is_disconnected(caplog: pytest.LogCaptureFixture):
    connection = Uvicorn(b"a")
    connection.protocol.data_received(POST)
    connection.cycle.disconnected = True
    connection.cycle.message_event.set()
    with caplog.at_level(logging.WARNING):
        assert await connection.answer() == b""
    assert [each["type"] for each in connection.received] == ["http.disconnect"]
    assert caplog.records == []


async def test_the_server_starts_and_handles_signals_through_overridable_methods():
    called: list[str] = []

    class Ours(uvicorn.Server):
        def capture_signals(self) -> Any:
            called.append("capture_signals")
            return super().capture_signals()

        async def startup(self, sockets: Any = None) -> None:
            called.append("startup")
            self.should_exit = True

    await Ours(uvicorn.Config(cast(Any, None), lifespan="off", log_config=None)).serve([])
    assert called == ["capture_signals", "startup"]


async def test_nats_py_asks_for_its_connect_command_before_it_sends_credentials():
    client = relay._Client()  # pyright: ignore[reportPrivateUsage]  # the class that depends on it
    assert isinstance(client, Client)
    received: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = b'INFO {"server_id":"a","version":"2.10.0","max_payload":1048576,"proto":1}\r\n'
        writer.write(info)
        received.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(nats.errors.Error):
            await client.connect(
                f"nats://user:secret@127.0.0.1:{port}",
                tls=ssl.create_default_context(),
                allow_reconnect=False,
                max_reconnect_attempts=0,
                connect_timeout=3,
            )
        await client.close()
    assert b"secret" not in b"".join(received)
