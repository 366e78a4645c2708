"""Relaying hints between processes on one machine, over Unix domain sockets in a shared folder.

Each process listens on its own socket, and connects to those of all others to send.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast
from uuid import UUID

import structlog

from realtime import wire
from realtime.hints import Hint
from realtime.metrics import HINTS_LOST
from realtime.subscribers import Subscribers
from realtime.tasks import running

_SUFFIX = ".sock"
# The first line on a connection. What the sender has published before it is stored, but was not sent here.
_HELLO = b"hello"
# When a new process connects, this one connects back. The folder is also searched at this interval, in case
# that has failed.
_SEARCH_SECONDS = 1
_CONNECT_SECONDS = 5
_CLOSE_SECONDS = 2
# The connection to a process that is this far behind is closed, and the process reads the log instead.
_MOST_UNSENT_BYTES = 4 * 1024 * 1024
_MOST_LINE_BYTES = 64 * 1024
_BACKLOG = 128

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_unix_relay(folder: Path, subscribers: Subscribers) -> AsyncGenerator["UnixRelay"]:
    """Relay to the processes that share the folder, while the block runs.

    Only these processes should have write access to the folder, because anyone who has can send hints.

    Raises:
        OSError: a socket cannot be created in the folder.
    """
    relay = UnixRelay(folder, subscribers)
    async with relay.listening(), running(relay.keep_connected(), "unix relay"):
        yield relay


class UnixRelay:
    """A relay that sends every hint to every process that shares the folder."""

    def __init__(self, folder: Path, subscribers: Subscribers) -> None:
        """Relay to these subscribers while `listening`."""
        self._path = folder / f"{secrets.token_hex(8)}{_SUFFIX}"
        self._subscribers = subscribers
        self.peers: dict[Path, Peer] = {}
        """The processes that this one sends to, by socket."""
        self.incoming: set[_Receiving] = set()
        """The connections on which other processes send."""
        self._lines: list[str] = []
        self._peer_arrived = asyncio.Event()

    def send(self, hints: Sequence[Hint]) -> None:
        """Send the hints in one write with everything else from this turn of the event loop."""
        if self.peers:
            self._send_soon([wire.encode(hint) for hint in hints])

    def wake(self, key: UUID) -> None:
        """Wake the subscribers with this key in the other processes."""
        if self.peers:
            self._send_soon([key.hex])

    def _send_soon(self, lines: Sequence[str]) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._lines += lines

    def _send_all(self) -> None:
        lines, self._lines = self._lines, []
        data = "".join(f"{line}\n" for line in lines).encode()
        for peer in list(self.peers.values()):
            peer.send(data, len(lines))

    async def receive(self, user_id: UUID) -> None:
        """Do nothing: the hints of all users are always received."""

    def ignore(self, user_id: UUID) -> None:
        """Do nothing."""

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Receive hints while the block runs."""
        with socket.socket(socket.AF_UNIX) as listening:
            # The socket gets its final name after it has started to listen, because other processes remove
            # sockets that refuse connections.
            unnamed = self._path.with_suffix(".new")
            listening.bind(str(unnamed))
            listening.listen(_BACKLOG)
            server = await asyncio.get_running_loop().create_unix_server(
                lambda: _Receiving(self), sock=listening
            )
            unnamed.rename(self._path)
            log.info("listening for hints")
            try:
                yield
            finally:
                self._path.unlink(missing_ok=True)
                server.close()
                await _close([*self.incoming, *self.peers.values()])

    async def keep_connected(self) -> None:
        """Keep a connection to each of the other processes, until cancelled."""
        while True:
            self._peer_arrived.clear()
            for path in self._unconnected():
                await self._connect(path)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SEARCH_SECONDS):
                    await self._peer_arrived.wait()

    def _unconnected(self) -> list[Path]:
        """Return the sockets of the processes to which there is no connection yet."""
        known = {self._path, *self.peers}
        return [path for path in self._path.parent.glob(f"*{_SUFFIX}") if path not in known]

    async def _connect(self, path: Path) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().create_unix_connection(
                    lambda: Peer(self.peers, path), str(path)
                )
        except FileNotFoundError:
            # The process has just ended.
            return
        except ConnectionRefusedError:
            _remove(path)
        except OSError as error:
            log.warning("connection to another process failed", error=str(error) or type(error).__name__)
        else:
            log.info("sending hints to another process", peers=len(self.peers))

    def hear(self, line: bytes) -> None:
        """Offer a line from another process to the subscribers; compare inboxes if it is the first line."""
        if line == _HELLO:
            self._subscribers.suspect()
            self._peer_arrived.set()
            return
        try:
            wire.offer(line.decode(), self._subscribers)
        except ValueError:
            log.warning("ignored a malformed hint", line=line[:100])


async def _close(connections: Sequence["_Connection"]) -> None:
    """Close the connections once their buffers are sent, or after a time limit."""
    if connections:
        for connection in connections:
            connection.transport.close()
        _, late = await asyncio.wait([each.lost for each in connections], timeout=_CLOSE_SECONDS)
        if late:
            for connection in connections:
                connection.transport.abort()


def _remove(path: Path) -> None:
    """Remove the socket of a process that was killed."""
    path.unlink(missing_ok=True)


class _Connection(asyncio.Protocol):
    """A connection to another process."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


class Peer(_Connection):
    """A connection to a process that receives hints."""

    def __init__(self, peers: "dict[Path, Peer]", path: Path) -> None:
        """Register in `peers` while the connection lasts."""
        self._peers = peers
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, and send the first line."""
        super().connection_made(transport)
        self.transport.write(_HELLO + b"\n")
        self._peers[self._path] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister. The relay connects again as long as the socket exists."""
        super().connection_lost(exc)
        del self._peers[self._path]

    def send(self, data: bytes, hints: int) -> None:
        """Send `data`, which contains `hints` hints.

        If the process does not read, the connection is closed. After it is restored, the process reads the
        log.
        """
        if self.transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
            HINTS_LOST.inc(hints)
            self.transport.abort()
        else:
            self.transport.write(data)


class _Receiving(_Connection):
    """A connection on which another process sends hints."""

    def __init__(self, relay: UnixRelay) -> None:
        self._relay = relay
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._relay.incoming.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._relay.incoming.discard(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._relay.hear(line)
        if len(self._rest) > _MOST_LINE_BYTES:
            log.warning("ignored a malformed hint", line=self._rest[:100])
            self.transport.close()
