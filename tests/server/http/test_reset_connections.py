"""A connection that its client resets while an answer begins ends without an error."""

import asyncio
import socket
import struct
from typing import Any

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.http.connections import Connection, connections_with
from server.http.unread_answers import UnreadAnswers

PATIENCE_SECONDS = 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def errors_after_a_reset() -> list[dict[str, Any]]:
    """Reset a connection immediately before its answer begins; return the event loop's errors."""
    loop = asyncio.get_running_loop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    lost, answered = asyncio.Event(), asyncio.Event()
    client = socket.socket()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        client.close()
        # The event loop notices the reset now, and closes the connection after this task's next step.
        await asyncio.sleep(0)
        assert not lost.is_set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await lost.wait()
        await send({"type": "http.response.body", "body": b"ok"})
        answered.set()

    config = uvicorn.Config(app, ws="none", log_config=None)
    config.load()
    unread = UnreadAnswers(max_bytes=1024, min_bytes_per_second=0, window_seconds=PATIENCE_SECONDS)
    protocol = connections_with(PATIENCE_SECONDS, unread)

    def connect() -> Connection:
        connection = protocol(config, ServerState(), {})
        connection.on_lost = lost.set
        return connection

    server = await loop.create_server(connect, "127.0.0.1", 0)
    async with server, asyncio.timeout(PATIENCE_SECONDS):
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await answered.wait()
    return errors


def test_the_head_of_an_answer_is_discarded_if_the_client_has_reset_its_connection():
    """uvloop, unlike asyncio, raises an exception if a closed connection is written to."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(errors_after_a_reset()) == []
