"""The database that a command uses: the one in the settings, or the embedded one."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from db import embedded
from db.orphans import EmbeddedPostgresError
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
def database_for_command(settings: Settings, *, creates: bool) -> Generator[DatabaseAddress]:
    """Yield the same database for another command, which can run at the same time as the server.

    Raises:
        EmbeddedPostgresError: the embedded PostgreSQL cannot start, or there is no embedded database and
            `creates` is False.
    """
    data_dir = settings.data_dir.resolve()
    if settings.database_url is None:
        if not creates and not embedded.is_initialised(data_dir):
            raise EmbeddedPostgresError(
                f"no database found in {data_dir}. Run this command in the folder where the server runs,"
                " or with the server's MESSENGER_DATA_DIR or MESSENGER_DATABASE_URL. `messenger serve`"
                " creates a database"
            )
        in_use = embedded.url_in_use(data_dir)
        if in_use is not None:
            yield DatabaseAddress(in_use, str(data_dir))
            return
    with database_for_server(settings) as address:
        yield address
