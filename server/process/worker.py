"""A worker process: the parent writes its configuration to standard input and reads its heartbeats."""

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
class WorkerConfig:
    """The configuration of a worker: the settings, the inherited socket, and the database."""

    settings: Settings
    listening_fd: int
    database_url: str

    def encode(self) -> bytes:
        """Return one line of JSON."""
        settings = self.settings.model_dump(mode="json")
        # The dump masks secrets.
        settings |= {
            name: value.get_secret_value() for name, value in self.settings if isinstance(value, SecretStr)
        }
        return json.dumps([settings, self.listening_fd, self.database_url]).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "WorkerConfig":
        """Parse a line from `encode`."""
        settings, listening_fd, database_url = json.loads(line)
        return cls(Settings(**settings), listening_fd, database_url)


def main() -> None:
    """Serve until a signal arrives or the parent ends."""
    config = WorkerConfig.decode(sys.stdin.buffer.readline())
    heartbeats_fd = sys.stdout.fileno()
    # What a debugging print writes is for the log, not for the parent.
    sys.stdout = sys.stderr
    set_up_logging(config.settings.log_format)
    listening = socket.socket(fileno=config.listening_fd)

    async def work() -> None:
        interval = config.settings.worker_timeout_seconds / BEATS_IN_TIMEOUT
        # Around all of it: a worker that waits for a broadcaster, or finishes requests, does not hang.
        async with running(_send_heartbeats(heartbeats_fd, interval), "heartbeats"):
            await serve(config.settings, listening, config.database_url, _announce, _stop_with_parent())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


def _announce(application: Application) -> None:
    log.info("worker started", pid=os.getpid())


async def _send_heartbeats(fd: int, seconds: float) -> None:
    """Tell the parent at that interval that the event loop runs."""
    os.set_blocking(fd, False)
    while True:
        # A parent that does not read has been paused, and finds the earlier ones.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(fd, b".")
        await asyncio.sleep(seconds)


async def _stop_with_parent() -> None:
    """Stop like on SIGTERM when the parent ends, which closes standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        await reader.read()
        log.warning("parent process ended")
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        transport.close()


if __name__ == "__main__":
    main()
