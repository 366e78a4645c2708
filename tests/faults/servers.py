"""A server that can be killed, stopped, and started again; and other commands."""

import asyncio
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.parent import Order
from tests.support.serving import eventually

_START_SECONDS = 40
# Longer than a server takes to shut down.
_END_SECONDS = 30


@dataclass
class Server:
    """A server process, and its successors with the same settings."""

    parent: Path
    """The socket of the parent of all servers."""
    order: Order
    port: int = 0
    pid: int = 0
    _life: asyncio.Task[None] | None = None
    """Ends when the process does."""

    async def start(self) -> None:
        """Start it and wait until it answers requests; like systemd, restart it if it fails to start."""
        async with asyncio.timeout(_START_SECONDS):
            while not await self._starts():
                pass

    async def _starts(self) -> bool:
        output, connection = await asyncio.open_unix_connection(self.parent)
        connection.write(self.order.encode())
        self.pid = int(await output.readline())
        # "The messenger is running at http://localhost:PORT"
        said = (await output.readline()).decode()
        # Only now does the process handle signals.
        self._life = asyncio.create_task(_until_the_end(output, connection))
        if not said:
            return False
        self.port = int(said.rsplit(":", 1)[1].split("/")[0])
        return True

    async def receives_hints(self) -> None:
        """Wait until it receives hints."""
        await eventually(
            lambda: re.search("listening for hints|connected to NATS", self.log()) is not None, _START_SECONDS
        )

    def has_ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._life is not None and self._life.done()

    async def kill(self) -> None:
        """Kill it, like `kill -9`."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Stop it by SIGTERM."""
        await self._end(signal.SIGTERM)

    async def _end(self, signum: signal.Signals) -> None:
        if self._life is not None and not self._life.done():
            os.kill(self.pid, signum)
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.shield(self._life)

    def log(self) -> str:
        """Return the logs of this process and its predecessors."""
        return (self.order.folder / "server.log").read_text()


async def run_command(parent: Path, order: Order) -> str:
    """Run a command until it ends, and return what it prints."""
    output, connection = await asyncio.open_unix_connection(parent)
    connection.write(order.encode())
    try:
        async with asyncio.timeout(_END_SECONDS):
            # The first line is the process ID.
            await output.readline()
            return (await output.read()).decode()
    finally:
        connection.close()


async def _until_the_end(output: asyncio.StreamReader, connection: asyncio.StreamWriter) -> None:
    """Read the output of a process until it ends."""
    with suppress(ConnectionError):
        await output.read()
    connection.close()
