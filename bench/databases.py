"""One database for each server, copied from a template that is filled once."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import asyncpg

TEMPLATE = "population"
EARLIER_TEMPLATE = "population_earlier"
# The triggers count what is unread for statements of the previous version. They would slow the other servers
# down. A copy of a database does not have the settings of its template.
_WITHOUT_TRIGGERS = "SET messenger.counts = 'on'"


@dataclass(frozen=True, slots=True)
class Address:
    """The location of a database."""

    socket_dir: Path
    name: str

    @property
    def url(self) -> str:
        """The address as a URL that libpq and asyncpg accept."""
        return f"postgresql://postgres@/{self.name}?{urlencode({'host': str(self.socket_dir)})}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The address as the environment variables that libpq clients read."""
        return {"PGHOST": str(self.socket_dir), "PGUSER": "postgres", "PGDATABASE": self.name}


@dataclass(frozen=True, slots=True)
class Databases:
    """The databases of one PostgreSQL server."""

    socket_dir: Path
    _numbers: "count[int]" = field(default_factory=count)

    def make_template(self) -> Address:
        """Create the template; nothing may be connected to it while it is copied."""
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        return Address(self.socket_dir, TEMPLATE)

    def copy_template(self) -> Address:
        """Copy the template, for another version of the messenger to use the copy as its template."""
        self._execute(f"CREATE DATABASE {EARLIER_TEMPLATE} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        return Address(self.socket_dir, EARLIER_TEMPLATE)

    @contextmanager
    def fresh(self, template: str = TEMPLATE) -> Generator[Address]:
        """Yield the address of a fresh copy, flushed to disk, and drop it when the block ends."""
        name = f"run_{next(self._numbers)}"
        self._execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy",
            f"ALTER DATABASE {name} {_WITHOUT_TRIGGERS}",
            "CHECKPOINT",
        )
        try:
            yield Address(self.socket_dir, name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, *statements: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(Address(self.socket_dir, "postgres").url)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(execute())
