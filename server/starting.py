"""What comes before serving: the socket, the database, and what can be wrong with them."""

import asyncio
import resource
import socket
import sys

from asyncpg import PostgresError
from sqlalchemy.exc import SQLAlchemyError

from db.embedded import EmbeddedPostgresError
from db.engine import DatabaseUnavailable, open_database
from db.migrations import migrate
from server.database import DatabaseAddress, Watched

_DATABASE_CHECK_SECONDS = 1
# What the kernel takes of us beyond what it has sent: by default megabytes, for a client that does not read.
_UNSENT_BYTES = 64 * 1024
_MOST_FILES = 2**20


class CannotStart(Exception):
    """The command cannot be carried out; the message is one line that says why and what to do."""


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may: each stream is one.

    A process usually starts with 1,024, and is free to go up to its hard limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listening_socket(host: str, port: int, unread_seconds: float) -> socket.socket:
    """Return a socket bound to the address.

    Its connections break when what is sent stays unread for `unread_seconds`, and hold little of it.

    Raises:
        CannotStart: the address is in use, or is none of this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # What a client does not acknowledge or read for this long, the kernel gives up: a laptop that
            # went to sleep sends no farewell. Accepted connections inherit both.
            milliseconds = round(unread_seconds * 1000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            # What is on its way to a client that reads is not counted, so a long way stays fast.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listening.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror}; set MESSENGER_HOST and MESSENGER_PORT"
        ) from error
    return listening


async def bring_up_to_date(url: str, shown: str, *, behind_pooler: bool) -> None:
    """Migrate the database, which errors call `shown`.

    Raises:
        CannotStart: it cannot be reached or used.
    """
    async with open_database(url, pool_size=2, behind_pooler=behind_pooler) as database:
        try:
            await migrate(database)
        except (DatabaseUnavailable, PostgresError, SQLAlchemyError) as error:
            cause = getattr(error, "orig", None) or error
            first_line = (str(cause) or type(cause).__name__).splitlines()[0]
            raise CannotStart(f"cannot use {shown}: {first_line}") from error


async def end_with(process: Watched, address: DatabaseAddress) -> None:
    """Raise when the embedded PostgreSQL ends under us: whoever runs us starts both again.

    Raises:
        EmbeddedPostgresError: it has.
    """
    while True:
        if process.poll() is not None:
            raise EmbeddedPostgresError(
                f"the PostgreSQL on {address.shown} has ended; see postgres.log there"
            )
        await asyncio.sleep(_DATABASE_CHECK_SECONDS)
