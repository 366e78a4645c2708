"""A complete answer is written at once, and contains what uvicorn would write."""

import asyncio
import gc
import logging
from collections.abc import Generator
from weakref import ref

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.bodies import BodyLimits, read_json_object
from server.http.exchange import Exchange, exchange_of
from server.http.responses import EncodedResponse
from tests.server.http.memory import answered, connected

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    exchange_of(scope).add_headers((b"x-request-id", b"1"))
    await EncodedResponse(b'{"data":1}', 200, HEADERS)(scope, receive, send)


def seen(app: ASGIApp) -> ASGIApp:
    """Middleware that sees the response, so that it is not written at once."""

    async def see(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_seen(message: Message) -> None:
            await send(message)

        await app(scope, receive, send_seen)

    return see


REQUESTS = {
    "GET": GET,
    "HEAD": GET.replace(b"GET", b"HEAD"),
    "HTTP/1.0": GET.replace(b"1.1", b"1.0"),
    "the last one": GET.replace(b"Host", b"Connection: close\r\nHost"),
    "that expects to be continued": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    ),
    "pipelined": GET * 3,
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_an_answer_is_the_same_whether_it_is_written_at_once_or_sent(request_: bytes):
    written: list[tuple[bytes, bool]] = []
    for app in (answer, seen(answer)):
        connection, transport = connected(app)
        connection.data_received(request_)
        await answered(connection)
        written.append((transport.written, transport.is_closed))
    at_once, sent = written
    assert at_once == sent
    assert b"date: today\r\nx-request-id: 1\r\ncontent-type: application/json\r\n" in at_once[0]


async def test_an_answer_is_one_write():
    connection, transport = connected(answer)
    for count in (1, 2):
        connection.data_received(GET)
        await answered(connection)
        assert len(transport.writes) == count
    assert connection.cycle.response_complete


async def test_middleware_can_change_an_answer():
    async def change(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"access-control-allow-origin", b"*")]
            await send(message)

        await answer(scope, receive, send_changed)

    connection, transport = connected(change)
    connection.data_received(GET)
    await answered(connection)
    assert b"\r\naccess-control-allow-origin: *\r\n" in transport.written


async def test_an_answer_waits_until_the_client_reads_earlier_ones():
    connection, transport = connected(answer)
    connection.pause_writing()
    connection.data_received(GET)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await answered(connection)
    assert transport.writes == []
    connection.resume_writing()
    await answered(connection)
    assert transport.written.endswith(b'\r\n\r\n{"data":1}')


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nset-cookie: b", b"a\rb"])
async def test_a_header_with_a_line_break_is_not_written(value: bytes, caplog: pytest.LogCaptureFixture):
    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        await EncodedResponse(b"{}", 200, [(b"x-name", value)])(scope, receive, send)

    connection, transport = connected(split)
    connection.data_received(GET)
    with caplog.at_level(logging.CRITICAL + 1):
        await answered(connection)
    assert b"x-name" not in transport.written


@pytest.fixture
def without_garbage_collection() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_garbage_collection")
async def test_a_request_is_freed_without_the_garbage_collector():
    exchanges: list[ref[Exchange]] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        exchanges.append(ref(exchange_of(scope)))
        await answer(scope, receive, send)

    connection, _ = connected(note)
    for _ in range(3):
        connection.data_received(GET)
        await answered(connection)
    # The connection still has the last one.
    assert [exchange() is None for exchange in exchanges] == [True, True, False]


async def test_a_body_is_read_whether_it_has_arrived_or_not():
    bodies: list[object] = []

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await read_json_object(Request(scope, receive), BodyLimits(1_000_000, 10)))
        # Otherwise, a stream would not notice that its client disconnects.
        assert not transport.is_reading_paused
        await answer(scope, receive, send)

    connection, transport = connected(read)
    # Larger than what is read before the application has taken it.
    body = b'{"text":"%b"}' % (b"a" * 100_000)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    request = head % len(body) + body
    for parts in ([request], [request[:200], request[200:500], request[500:]]):
        for part in parts:
            connection.data_received(part)
            await asyncio.sleep(0)
        await answered(connection)
    assert bodies == [{"text": "a" * 100_000}] * 2
    assert transport.written.count(b"HTTP/1.1 200 ") == 2


async def test_a_body_that_has_arrived_is_limited_too():
    reasons: list[str] = []

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await read_json_object(Request(scope, receive), BodyLimits(10, 10))
        except Exception as error:
            reasons.append(str(error))
        await answer(scope, receive, send)

    connection, _ = connected(read)
    for body in (b'{"a":"12"}', b'{"a":"123"}'):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.data_received(head % len(body) + body)
        await answered(connection)
    assert reasons == ["The body is larger than 10 bytes."]
