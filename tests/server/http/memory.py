"""Connections without sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.http.connections import Connection, connections_with
from server.http.unread_answers import UnreadAnswers

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Memory(asyncio.Transport):
    """A transport that records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False
        self.is_reading_paused = False

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False


def connected(app: App) -> tuple[Connection, Memory]:
    """Return a connection to the application, and its transport."""
    config = uvicorn.Config(app, ws="none", log_config=None)
    config.load()
    unread = UnreadAnswers(max_bytes=1_000_000, min_bytes_per_second=1, window_seconds=60)
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    connection, transport = connections_with(60, unread)(config, state, {}), Memory()
    connection.connection_made(transport)
    return connection, transport


async def answered(connection: Connection) -> None:
    """Wait until all requests that have been received are over."""
    async with asyncio.timeout(10):
        while connection.tasks:
            await asyncio.wait([*connection.tasks])
        # What is written in one iteration of the event loop is sent in the next one.
        await asyncio.sleep(0)
