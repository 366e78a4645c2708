"""Running the server: from the socket to the last answered request."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from db.embedded import EmbeddedPostgresError
from db.engine import open_database
from db.migrations import migrate
from realtime.broadcaster import Broadcaster
from server.application import Application, build_application
from server.database import DatabaseAddress, Watched
from server.settings import Settings
from server.streams import end_with_their_sessions

log = structlog.stdlib.get_logger(__name__)

_SESSION_CHECK_SECONDS = 3
_DATABASE_CHECK_SECONDS = 1


class CannotStart(Exception):
    """The command cannot be carried out; the message is one line that says why and what to do."""

    @classmethod
    def because(cls, what: str, error: Exception) -> "CannotStart":
        """Name the first line of what the database or its driver says."""
        cause = getattr(error, "orig", None) or error
        return cls(f"{what}: {(str(cause) or type(cause).__name__).splitlines()[0]}")


def listening_socket(host: str, port: int, unread_seconds: float) -> socket.socket:
    """Return a socket bound to the address.

    Its connections break when what is sent stays unread for `unread_seconds`.

    Raises:
        CannotStart: the address is in use, or is none of this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # What a client does not acknowledge or read for this long, the kernel gives up: a laptop that
            # went to sleep sends no farewell. Accepted connections inherit it.
            milliseconds = round(unread_seconds * 1000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listening.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror}; set MESSENGER_HOST and MESSENGER_PORT"
        ) from error
    return listening


async def serve(
    settings: Settings,
    listening: socket.socket,
    address: DatabaseAddress,
    announce: Callable[[Application, str], None],
) -> None:
    """Serve until SIGINT or SIGTERM, then end the streams, finish what runs, and return.

    `announce` is called with the application and its URL once requests are answered.

    Raises:
        CannotStart: the database cannot be reached.
    """
    public_url = settings.public_url or f"http://localhost:{listening.getsockname()[1]}"
    async with open_database(address.url, pool_size=settings.database_pool_size) as database:
        try:
            await migrate(database)
        except (OSError, SQLAlchemyError) as error:
            raise CannotStart.because(f"cannot use {address.shown}", error) from error
        application = build_application(settings, public_url, database, Broadcaster())
        server = _Server(_configuration(application, settings), lambda: announce(application, public_url))
        async with asyncio.TaskGroup() as tasks:
            watches = [
                tasks.create_task(
                    end_with_their_sessions(application.streams, database, _SESSION_CHECK_SECONDS)
                )
            ]
            if address.process is not None:
                watches.append(tasks.create_task(_watch(address.process, address.shown)))
            with _stopping_on_signals(server, application):
                await server.serve([listening])
            for watch in watches:
                watch.cancel()


class _Server(uvicorn.Server):
    """uvicorn, without its own ideas of signals: it would wait for open streams for ever."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def _configuration(application: Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )


@contextmanager
def _stopping_on_signals(server: uvicorn.Server, application: Application) -> Generator[None]:
    def stop() -> None:
        # A second one: leave without waiting for requests that run.
        server.force_exit = server.should_exit
        server.should_exit = True
        log.info("stopping")
        application.streams.close()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop)
    try:
        yield
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signum)


async def _watch(process: Watched, shown: str) -> None:
    """Stop us when the embedded PostgreSQL ends under us: whoever runs us starts both again."""
    while True:
        if process.poll() is not None:
            raise EmbeddedPostgresError(f"the PostgreSQL on {shown} has ended; see postgres.log there")
        await asyncio.sleep(_DATABASE_CHECK_SECONDS)
