"""A bad connection: a proxy between a client and the server that fails when a test says so."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Proxy:
    """Forwards connections to the server, which listens on a port or a Unix socket."""

    server: int | Path
    url: str = ""
    passed_on: bytearray = field(default_factory=bytearray)
    """What went through to clients."""
    _turned_away: asyncio.Event | None = None
    _breaking_at: bytes | None = None
    _awaited: bytes | None = None
    _meanwhile: Callable[[], Awaitable[object]] | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._connections:
            writer.transport.abort()

    @asynccontextmanager
    async def outage(self) -> AsyncGenerator[None]:
        """Break all connections; answer 503 until the block ends and at least one client has received it."""
        self._turned_away = asyncio.Event()
        self.cut()
        try:
            yield
            await self._turned_away.wait()
        finally:
            self._turned_away = None

    def cut_within(self, text: bytes) -> None:
        """Break all connections once, after half of this text has been forwarded to a client."""
        self._breaking_at = text

    def hold_back(self, text: bytes, meanwhile: Callable[[], Awaitable[object]]) -> None:
        """Once, before this text is forwarded to a client, run `meanwhile`."""
        self._awaited, self._meanwhile = text, meanwhile

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until either end closes it."""
        if self._turned_away:
            await self._reject(self._turned_away, reader, writer)
            return
        if isinstance(self.server, Path):
            from_server, to_server = await asyncio.open_unix_connection(self.server)
        else:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.server)
        both = {writer, to_server}
        self._connections |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_to_server(reader, to_server))
                tasks.create_task(self._pass_to_client(from_server, writer))
        except* ConnectionError:
            pass
        finally:
            self._connections -= both
            for each in both:
                each.transport.abort()

    async def _reject(
        self, rejected: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        rejected.set()

    async def _pass_to_server(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
        raise ConnectionResetError  # The other direction is closed too.

    async def _pass_to_client(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            if self._awaited and self._meanwhile and self._awaited in chunk:
                self._awaited = None
                await self._meanwhile()
            text = self._breaking_at
            breaks = text is not None and text in chunk
            if text is not None and breaks:
                self._breaking_at = None
                chunk = chunk[: chunk.index(text) + len(text) // 2]
            self.passed_on += chunk
            target.write(chunk)
            await target.drain()
            if breaks:
                self.cut()
        raise ConnectionResetError


@asynccontextmanager
async def proxy_before(server: int | Path) -> AsyncGenerator[Proxy]:
    """Listen on a free port in front of the server while the block runs."""
    proxy = Proxy(server)
    listening = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        proxy.url = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            proxy.cut()
