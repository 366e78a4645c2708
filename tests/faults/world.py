"""Everything that can break: a database, servers behind proxies, and the carrier of their hints."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Literal

import httpx

from db.engine import Database, open_database
from tests.faults.nats_cluster import NatsCluster, running_nats_cluster
from tests.faults.parent import Order
from tests.faults.postgres import Postgres
from tests.faults.proxy import Proxy
from tests.faults.servers import Server, run_command

Carrier = Literal["unix", "postgresql", "nats"]
"""What carries hints between the servers."""

# A stream sends a heartbeat every second; clients give up on one that does not.
_TIMEOUT = httpx.Timeout(4)


@dataclass(frozen=True)
class World:
    """The environment of a round. Clients connect to the `doors`, each of which leads to one server."""

    postgres: Postgres
    database: Database
    servers: list[Server]
    proxies: list[Proxy]
    doors: list[httpx.AsyncClient]
    nats: NatsCluster | None
    down: set[int]
    """The servers that a fault has in its hands."""
    losses: list[float]
    """When the database lost transactions, by the clock of `History`."""

    def busiest(self) -> int | None:
        """Return the number of the running server with the most clients, or None if none is running."""
        up = set(range(len(self.proxies))) - self.down
        return max(up, key=lambda number: len(self.proxies[number]), default=None)

    async def remove(self, username: str) -> None:
        """Remove a user with the command, which may fail."""
        first = self.servers[0]
        order = replace(first.order, number=len(self.servers), command=("remove-user", username, "--yes"))
        await run_command(first.parent, order)

    async def start_server(self, number: int) -> None:
        """Start a server, and have its door lead to it."""
        await self.servers[number].start()
        self.proxies[number].target = self.servers[number].port


@asynccontextmanager
async def open_world(
    folder: Path,
    parent: Path,
    postgres: Postgres,
    *,
    dice: Random,
    servers: int = 2,
    carrier: Carrier = "postgresql",
    sabotage: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> AsyncGenerator[World]:
    """Run servers on the database until the block ends, each behind a proxy.

    `parent` is the socket of the parent of all servers.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(postgres.url))
        cluster = await stack.enter_async_context(running_nats_cluster(folder)) if carrier == "nats" else None
        hints_folder = folder / "hints"
        hints_folder.mkdir()
        own_url = f"unix://{hints_folder}" if carrier == "unix" else "postgresql://"
        world = World(postgres, database, [], [], [], cluster, set(), [])
        for number in range(servers):
            # Each knows one node at first, and learns about the others from it.
            broadcast_url = cluster.nodes[number % 3].url if cluster else own_url
            home = folder / f"server-{number}"
            home.mkdir()
            given = {
                "database_url": postgres.url,
                "database_pool_size": "6",
                "broadcast_url": broadcast_url,
                "heartbeat_seconds": "1",
                "drain_seconds": "0.3",
                "shutdown_seconds": "2",
                "inbox_check_seconds": "1",
                "log_format": "json",
                **(settings or {}),
            }
            server = Server(parent, Order(home, given, sabotage, number, dice.getrandbits(32)))
            proxy = await stack.enter_async_context(Proxy().open())
            door = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{proxy.port}",
                timeout=_TIMEOUT,
                limits=httpx.Limits(max_connections=None),
            )
            stack.push_async_callback(server.kill)
            await stack.enter_async_context(door)
            world.servers.append(server)
            world.proxies.append(proxy)
            world.doors.append(door)
        async with asyncio.TaskGroup() as tasks:
            for number in range(servers):
                tasks.create_task(world.start_server(number))
        for server in world.servers:
            await server.receives_hints()
        yield world
