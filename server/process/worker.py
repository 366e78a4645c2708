"""A serving process that a parent has started: orders on standard input, heartbeats on standard output."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass

import structlog
import uvloop
from pydantic import SecretStr

from realtime.tasks import running
from server.config.settings import Settings
from server.observability.logs import set_up_logging
from server.process.application import Application
from server.process.serving import serve

BEATS_IN_TIMEOUT = 5

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told: the settings, the socket that it has inherited, and the database."""

    settings: Settings
    listening_fd: int
    database_url: str

    def encode(self) -> bytes:
        """Return one line."""
        settings = self.settings.model_dump(mode="json")
        # Which are shown as stars, but for those who ask.
        settings |= {
            name: value.get_secret_value() for name, value in self.settings if isinstance(value, SecretStr)
        }
        return json.dumps([settings, self.listening_fd, self.database_url]).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Orders":
        """Read the line back."""
        settings, listening_fd, database_url = json.loads(line)
        return cls(Settings(**settings), listening_fd, database_url)


def main() -> None:
    """Serve as ordered until SIGTERM, or until the parent has ended."""
    orders = Orders.decode(sys.stdin.buffer.readline())
    heartbeats_fd = sys.stdout.fileno()
    # What a debugging print writes is for the log, not for the parent.
    sys.stdout = sys.stderr
    set_up_logging(orders.settings.log_format)
    listening = socket.socket(fileno=orders.listening_fd)

    async def work() -> None:
        interval = orders.settings.worker_timeout_seconds / BEATS_IN_TIMEOUT
        # Around all of it: a worker that waits for a broadcaster, or finishes requests, does not hang.
        async with running(_send_heartbeats(heartbeats_fd, interval), "heartbeats"):
            await serve(orders.settings, listening, orders.database_url, _announce, _stop_with_parent())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


def _announce(application: Application) -> None:
    log.info("a worker serves", pid=os.getpid())


async def _send_heartbeats(fd: int, seconds: float) -> None:
    """Tell the parent at that interval that the event loop runs."""
    os.set_blocking(fd, False)
    while True:
        # A parent that does not read has been paused, and finds the earlier ones.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(fd, b".")
        await asyncio.sleep(seconds)


async def _stop_with_parent() -> None:
    """Stop as on SIGTERM once standard input ends, which shows that the parent has ended."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        await reader.read()
        log.warning("the parent has ended")
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        transport.close()


if __name__ == "__main__":
    main()
