"""A connection is closed once no request has arrived on it for long enough, and not before."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from server.http.connections import Connection
from server.http.responses import EncodedResponse
from tests.server.http.memory import Memory, answered, connected

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Clock:
    """An event loop whose time passes when it is told to."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = 0.0
        self._timers: list[tuple[float, Callable[[], object]]] = []
        self.timers_started = 0

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> "Timer":
        self.timers_started += 1
        timer = (self._now + seconds, callback)
        self._timers.append(timer)
        return Timer(lambda: self._timers.remove(timer))

    def create_task(self, *arguments: object, **options: object) -> object:
        return getattr(self._loop, "create_task")(*arguments, **options)  # noqa: B009  # its type has no such arguments

    def passes(self, seconds: float) -> None:
        end = self._now + seconds
        while due := [timer for timer in self._timers if timer[0] <= end]:
            timer = min(due, key=lambda each: each[0])
            self._timers.remove(timer)
            self._now = timer[0]
            timer[1]()
        self._now = end

    @property
    def is_idle(self) -> bool:
        return not self._timers


class Timer:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await EncodedResponse(b"{}", 200, [])(scope, receive, send)


def with_clock() -> tuple[Connection, Memory, Clock]:
    connection, transport = connected(answer)
    connection.timeout_keep_alive = 10
    # The head of the first request is waited for by the real loop.
    clock = Clock()
    connection.loop = clock  # pyright: ignore[reportAttributeAccessIssue]  # what the protocol uses of a loop
    return connection, transport, clock


async def test_the_time_starts_again_with_each_response():
    connection, transport, clock = with_clock()
    for _ in range(5):
        connection.data_received(GET)
        await answered(connection)
        clock.passes(9)
        assert not transport.is_closed
    clock.passes(0.9)
    assert not transport.is_closed
    clock.passes(0.2)
    assert transport.is_closed
    # One for each ten seconds, and not one for each response.
    assert clock.timers_started < 7


async def test_many_requests_take_one_timer():
    connection, _, clock = with_clock()
    for _ in range(100):
        connection.data_received(GET)
        await answered(connection)
    assert clock.timers_started == 1


async def test_a_connection_is_not_idle_while_a_request_arrives():
    connection, transport, clock = with_clock()
    connection.data_received(GET)
    await answered(connection)
    clock.passes(9)
    connection.data_received(GET[:10])
    clock.passes(20)
    assert not transport.is_closed
    connection.data_received(GET[10:])
    await answered(connection)
    assert len(transport.writes) == 2
    clock.passes(11)
    assert transport.is_closed


async def test_a_lost_connection_has_no_timer():
    connection, _, clock = with_clock()
    connection.data_received(GET)
    await answered(connection)
    assert not clock.is_idle
    connection.connection_lost(ConnectionResetError())
    assert clock.is_idle
