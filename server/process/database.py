"""Which database a command works on."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from db import embedded
from server.config.settings import Settings


class Watched(Protocol):
    """A process that must not end before we do."""

    def poll(self) -> int | None:
        """Return the exit status once it has ended."""
        ...


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """The SQLAlchemy URL, what to tell people of it, and the server's process where it is our child."""

    url: str
    shown: str
    process: Watched | None = None


@contextmanager
def database_for_server(settings: Settings) -> Generator[DatabaseAddress]:
    """Yield the database that the settings name, the embedded one running for as long as the block does.

    Raises:
        EmbeddedPostgresError: the embedded one cannot run.
    """
    if settings.database_url is not None:
        yield DatabaseAddress(settings.database_url, "the database in MESSENGER_DATABASE_URL")
        return
    with embedded.running(settings.data_dir) as cluster:
        yield DatabaseAddress(cluster.url(), str(settings.data_dir.resolve()), cluster.process)


@contextmanager
def database_for_command(settings: Settings) -> Generator[str]:
    """Yield the URL of the same database; where a server of ours has it running, of that one."""
    in_use = None if settings.database_url else embedded.url_in_use(settings.data_dir)
    if in_use is not None:
        yield in_use
        return
    with database_for_server(settings) as address:
        yield address.url
