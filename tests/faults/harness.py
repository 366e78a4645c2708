"""The harness: it creates a world for each round, plays the round, and removes the world."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

import asyncpg

from db.engine import open_database
from db.migrations import migrate
from tests.faults.faults import Fault, carrier_for
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.rounds import Conduct, Outcome, play
from tests.faults.world import Carrier, open_world


@dataclass
class Harness:
    """What rounds share: the parent of the servers, and a PostgreSQL for rounds that do not break it."""

    folder: Path
    binaries: Path
    parent: Path
    postgres: Postgres
    template: Path
    _numbers: "count[int]"

    async def play(
        self,
        faults: Sequence[Fault],
        seed: int,
        conduct: Conduct | None = None,
        *,
        servers: int = 2,
        carrier: Carrier = "postgresql",
    ) -> Outcome:
        """Play a round in a new world, with this carrier of hints unless the faults require another."""
        dice = Random(seed)
        home = self.folder / f"round-{next(self._numbers)}"
        home.mkdir()
        settings = {name: value for fault in faults for name, value in fault.settings.items()}
        async with AsyncExitStack() as stack:
            postgres = self.postgres
            if any(fault.breaks_postgres for fault in faults):
                own = running_postgres(home / "postgres", self.binaries, like=self.template)
                postgres = await stack.enter_async_context(own)
            world = await stack.enter_async_context(
                open_world(
                    home,
                    self.parent,
                    postgres,
                    dice=dice,
                    servers=servers,
                    carrier=carrier_for(faults) or carrier,
                    sabotage=[name for fault in faults for name in fault.sabotage],
                    settings=settings,
                )
            )
            return await play(world, faults, dice, conduct)


@asynccontextmanager
async def open_harness(folder: Path, binaries: Path) -> AsyncGenerator[Harness]:
    """Create what rounds share, in a folder whose path is short enough for PostgreSQL's socket."""
    async with AsyncExitStack() as stack:
        template = folder / "template"
        async with (
            running_postgres(template, binaries) as postgres,
            open_database(postgres.url) as database,
        ):
            await migrate(database)
            await _write_late(postgres)
        shared = running_postgres(folder / "shared", binaries, like=template)
        parent = await stack.enter_async_context(_running_parent(folder / "parent.sock"))
        postgres = await stack.enter_async_context(shared)
        yield Harness(folder, binaries, parent, postgres, template, count(1))


async def _write_late(postgres: Postgres) -> None:
    """Flush late, so that a crash certainly loses commits that do not wait for the disk, unlike ours."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    await connection.close()


@asynccontextmanager
async def _running_parent(path: Path) -> AsyncGenerator[Path]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.parent", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield path
    finally:
        process.terminate()
        await process.wait()
