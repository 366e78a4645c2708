"""The command that measures the figures."""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import get_args

import uvloop

from db import embedded
from tests.faults.figures import crossing, idle_streams, slow_readers
from tests.faults.harness import Harness, open_harness
from tests.faults.world import Carrier, World, open_world

Measure = Callable[[World], Awaitable[None]]


async def take(
    harness: Harness,
    measure: Measure,
    settings: Mapping[str, str],
    servers: int,
    carrier: Carrier = "postgresql",
) -> None:
    """Measure in a new world."""
    folder = Path(tempfile.mkdtemp(dir=harness.folder))
    opened = open_world(
        folder,
        harness.parent,
        harness.postgres,
        dice=Random(1),
        servers=servers,
        carrier=carrier,
        settings={"database_pool_size": "10", **settings},
    )
    async with opened as world:
        await measure(world)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.figures", description=__doc__)
    parser.add_argument("what", choices=["slow", "idle", "crossing"])
    what = parser.parse_args().what
    with tempfile.TemporaryDirectory(prefix="figures-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        async with open_harness(Path(folder), embedded.wheel_binaries()) as harness:
            if what == "slow":
                await take(harness, slow_readers.measure, slow_readers.SETTINGS, 1)
            elif what == "idle":
                await take(harness, idle_streams.measure, idle_streams.SETTINGS, 1)
            else:
                for carrier in get_args(Carrier):
                    for servers in (1, 2, 3):
                        await take(
                            harness, partial(crossing.measure, carrier), crossing.SETTINGS, servers, carrier
                        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
