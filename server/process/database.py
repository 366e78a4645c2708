"""The database that a command uses: the one in the settings, or the embedded one."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from db import embedded
from server.config.settings import Settings


class Watched(Protocol):
    """A process that must not end before this one."""

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        ...


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """The SQLAlchemy URL, its description for messages, and the process if it is the embedded PostgreSQL."""

    url: str
    shown: str
    process: Watched | None = None


@contextmanager
def database_for_server(settings: Settings) -> Generator[DatabaseAddress]:
    """Yield the database for `messenger serve`; the embedded one runs as long as the block.

    Raises:
        EmbeddedPostgresError: the embedded PostgreSQL cannot start.
    """
    if settings.database_url is not None:
        yield DatabaseAddress(settings.database_url, "the database in MESSENGER_DATABASE_URL")
        return
    with embedded.running(settings.data_dir) as cluster:
        yield DatabaseAddress(cluster.url(), str(settings.data_dir.resolve()), cluster.process)


@contextmanager
def database_for_command(settings: Settings) -> Generator[str]:
    """Yield the URL of the same database for another command, which may run while the server does."""
    in_use = None if settings.database_url else embedded.url_in_use(settings.data_dir)
    if in_use is not None:
        yield in_use
        return
    with database_for_server(settings) as address:
        yield address.url
