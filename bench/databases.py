"""Databases for one server each: copies of one that is filled once."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import asyncpg

TEMPLATE = "population"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is."""

    socket_dir: Path
    name: str

    @property
    def url(self) -> str:
        """The address as libpq and asyncpg read it."""
        return f"postgresql://postgres@/{self.name}?{urlencode({'host': str(self.socket_dir)})}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The same as the variables that libpq's relatives go by."""
        return {"PGHOST": str(self.socket_dir), "PGUSER": "postgres", "PGDATABASE": self.name}


@dataclass(frozen=True, slots=True)
class Databases:
    """The databases of one PostgreSQL."""

    socket_dir: Path
    _numbers: "count[int]" = field(default_factory=count)

    def make_template(self) -> Address:
        """Make the database that the others are copies of; nobody may be connected to it when they are."""
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        return Address(self.socket_dir, TEMPLATE)

    @contextmanager
    def fresh(self) -> Generator[Address]:
        """Have a copy until the block ends, with nothing left for PostgreSQL to write."""
        name = f"run_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy", "CHECKPOINT")
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
