"""A TCP proxy that can cut connections at any byte."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Self


class Proxy:
    """Forwards bytes between clients and the server at `target`, a port of this machine."""

    def __init__(self, target: int | None = None) -> None:
        """Forward to that server; without one, reject all connections."""
        self.port = 0
        self.target = target
        self.cuts = 0
        self._dice: random.Random | None = None
        self._most_bytes = 0
        self._links: set[_Link] = set()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Self]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut_all()

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._links)

    def cut_at_random(self, dice: random.Random, most_bytes: int) -> None:
        """From now on, cut each connection after a random number of bytes up to this one, either way."""
        self._dice, self._most_bytes = dice, most_bytes
        for link in self._links:
            link.bytes_left = dice.randrange(most_bytes)

    def stop_cutting(self) -> None:
        """Stop cutting connections."""
        self._dice = None
        for link in self._links:
            link.bytes_left = None

    def cut_all(self) -> None:
        """Cut all connections now."""
        for link in list(self._links):
            link.cut(gently=False)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, self._dice.randrange(self._most_bytes) if self._dice else None)
        try:
            if self.target is None:
                return
            there, to_there = await asyncio.open_connection("127.0.0.1", self.target)
            link.writers.append(to_there)
            self._links.add(link)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(link, reader, to_there))
                tasks.create_task(self._forward(link, there, writer))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            link.cut(gently=True)

    async def _forward(
        self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(65536):
            if link.bytes_left is not None:
                passed = chunk[: link.bytes_left]
                link.bytes_left -= len(passed)
                if passed != chunk:
                    writer.write(passed)
                    self.cuts += 1
                    # What has been forwarded still arrives, or is lost with the connection.
                    link.cut(gently=self._dice is None or self._dice.random() < 0.5)
                    return
            writer.write(chunk)
            await writer.drain()
        # One side has finished sending. In HTTP, the other side has nothing to add then either.
        link.cut(gently=True)


class _Link:
    """A client's connection, and the connection to the server for it."""

    def __init__(self, writer: asyncio.StreamWriter, bytes_left: int | None) -> None:
        self.writers = [writer]
        self.bytes_left = bytes_left

    def cut(self, *, gently: bool) -> None:
        for writer in self.writers:
            with suppress(OSError):
                if gently:
                    writer.close()
                else:
                    writer.transport.abort()
