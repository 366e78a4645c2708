"""The faults. A blow breaks something when its context is entered, and repairs it when it exits."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random

from sqlalchemy import text

from db.engine import DatabaseUnavailable
from tests.faults import losses
from tests.faults.world import Carrier, World
from tests.support.tables import tables

Blow = Callable[[World, Random], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """What breaks: blows from outside while the servers run, sabotage inside them, or both."""

    name: str
    blow: Blow
    carrier: Carrier | None = None
    """What has to carry the hints, where it is about that."""
    breaks_postgres: bool = False
    """Whether it needs a PostgreSQL of its own."""
    sabotage: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


def carrier_for(faults: Iterable[Fault]) -> Carrier | None:
    """Return the carrier of hints that one of the faults requires, or None."""
    for fault in faults:
        if fault.carrier is not None:
            return fault.carrier
    return None


# Only hints may announce a message here, because a check would make up for lost ones.
NO_CHECKS = {"inbox_check_seconds": "3600"}


def with_checks(fault: Fault) -> Fault:
    """Return the fault with inbox checks on, for use together with one that may lose hints."""
    return replace(fault, settings={})


@asynccontextmanager
async def _nothing(world: World, dice: Random) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def _kill_servers(world: World, dice: Random) -> AsyncGenerator[None]:
    with _reserving(world, dice.randint(1, len(world.servers))) as victims:
        await asyncio.gather(*(world.servers[number].kill() for number in victims))
        try:
            yield
        finally:
            await asyncio.gather(*(world.start_server(number) for number in victims))


@asynccontextmanager
async def _roll_servers(world: World, dice: Random) -> AsyncGenerator[None]:
    with _reserving(world, 1) as victims:
        await asyncio.gather(*(world.servers[number].stop() for number in victims))
        try:
            yield
        finally:
            await asyncio.gather(*(world.start_server(number) for number in victims))


@contextmanager
def _reserving(world: World, most: int) -> Generator[Sequence[int]]:
    """Reserve up to `most` servers that no other fault has reserved, those with the most clients first."""
    victims: list[int] = []
    while len(victims) < most and (number := world.busiest()) is not None:
        victims.append(number)
        world.down.add(number)
    try:
        yield victims
    finally:
        world.down.difference_update(victims)


@asynccontextmanager
async def _restart_postgres(world: World, dice: Random) -> AsyncGenerator[None]:
    await world.postgres.stop()
    try:
        yield
    finally:
        await world.postgres.start()


@asynccontextmanager
async def _crash_postgres(world: World, dice: Random) -> AsyncGenerator[None]:
    await world.postgres.stop(crash=True)
    try:
        yield
    finally:
        await world.postgres.start()


@asynccontextmanager
async def _put_back_postgres(world: World, dice: Random) -> AsyncGenerator[None]:
    """Restore a copy of the data, while no server runs, and write other messages in place of those lost."""
    with _reserving(world, len(world.servers)) as victims:
        await world.postgres.stop()
        await world.postgres.copy()
        await world.postgres.start()
        reached = await losses.grown(world.database)
        await asyncio.gather(*(world.servers[number].kill() for number in victims))
        await world.postgres.stop()
        try:
            yield
        finally:
            await world.postgres.restore()
            await world.postgres.start()
            await losses.write_up_to(world.database, reached)
            world.losses.append(time.monotonic())
            await asyncio.gather(*(world.start_server(number) for number in victims))


@asynccontextmanager
async def _put_back_under_streams(world: World, dice: Random) -> AsyncGenerator[None]:
    """Restore a copy of the data, and write other messages in place of those lost, while streams are open."""
    await world.postgres.stop()
    await world.postgres.copy()
    await world.postgres.start()
    reached = await losses.grown(world.database)
    await world.postgres.stop()
    try:
        yield
    finally:
        await world.postgres.restore()
        world.losses.append(time.monotonic())
        await world.postgres.start()
        await losses.write_up_to(world.database, reached)


_TERMINATE = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
""")


@asynccontextmanager
async def _terminate_connections(world: World, dice: Random) -> AsyncGenerator[None]:
    async def terminate() -> None:
        while True:
            # Another fault may have stopped the database.
            with suppress(DatabaseUnavailable):
                async with tables(world.database) as connection:
                    await connection.execute(_TERMINATE)
            await asyncio.sleep(dice.uniform(0.05, 0.3))

    terminating = asyncio.create_task(terminate())
    try:
        yield
    finally:
        terminating.cancel()
        await asyncio.wait([terminating])


@asynccontextmanager
async def _kill_nats_nodes(world: World, dice: Random) -> AsyncGenerator[None]:
    assert world.nats is not None
    # The last server's node and a random selection of the others, so that at least that server misses hints.
    last = world.nats.nodes[(len(world.servers) - 1) % 3]
    others = [node for node in world.nats.nodes if node is not last]
    victims = [last, *dice.sample(others, dice.randint(0, 2))]
    for node in victims:
        await node.kill()
    try:
        yield
    finally:
        for node in victims:
            await world.nats.start(node)


@asynccontextmanager
async def _partition_nats_nodes(world: World, dice: Random) -> AsyncGenerator[None]:
    assert world.nats is not None
    world.nats.part()
    try:
        yield
    finally:
        world.nats.join()


@asynccontextmanager
async def _cut_clients(world: World, dice: Random) -> AsyncGenerator[None]:
    for proxy in world.proxies:
        proxy.cut_all()
        proxy.cut_at_random(dice, most_bytes=3000)
    try:
        yield
    finally:
        for proxy in world.proxies:
            proxy.stop_cutting()


CALM = Fault("nothing", _nothing)
KILLED = Fault("servers killed", _kill_servers)
ROLLED = Fault("servers rolled", _roll_servers)
RESTARTED = Fault("PostgreSQL restarted", _restart_postgres, breaks_postgres=True)
RESTARTED_WITH_RATES = Fault(
    "PostgreSQL restarted, rates counted in it",
    _restart_postgres,
    breaks_postgres=True,
    settings={
        "rate_limits": "on",
        "rate_limit_store": "database",
        "messages_per_minute_per_user": "1000000",
        "conversations_per_minute_per_user": "1000000",
        "profile_changes_per_hour_per_user": "1000000",
        "requests_per_minute_per_user": "1000000",
        "requests_per_minute_per_address": "1000000",
    },
)
CRASHED = Fault("PostgreSQL crashed", _crash_postgres, breaks_postgres=True)
PUT_BACK = Fault("PostgreSQL put back", _put_back_postgres, breaks_postgres=True)
PUT_BACK_UNDER_STREAMS = Fault(
    "PostgreSQL put back under open streams", _put_back_under_streams, breaks_postgres=True
)
PUTTING_BACK = (PUT_BACK, PUT_BACK_UNDER_STREAMS)
STOPPING_POSTGRES = (RESTARTED, RESTARTED_WITH_RATES, CRASHED, *PUTTING_BACK)
TERMINATED = Fault("connections terminated", _terminate_connections, breaks_postgres=True)
NATS_KILLED = Fault("NATS nodes killed", _kill_nats_nodes, carrier="nats")
NATS_PARTED = Fault("NATS nodes parted", _partition_nats_nodes, carrier="nats")
PEERS_LOST = Fault("peers lost", _nothing, carrier="unix", sabotage=("lose_peers",), settings=NO_CHECKS)
CUT = Fault("clients cut", _cut_clients, settings=NO_CHECKS)
DROPPED = Fault("hints dropped", _nothing, sabotage=("drop_hints",))
DOUBLED = Fault("hints doubled", _nothing, sabotage=("double_hints",))
REORDERED = Fault("hints reordered", _nothing, sabotage=("reorder_hints",))
OVERFLOWING = Fault("buffers overflowing", _nothing, sabotage=("fill_buffers",), settings=NO_CHECKS)
CLOCKS = Fault("clocks apart", _nothing, sabotage=("set_clock",))

FAULTS: Sequence[Fault] = (
    KILLED,
    ROLLED,
    RESTARTED,
    RESTARTED_WITH_RATES,
    CRASHED,
    PUT_BACK,
    PUT_BACK_UNDER_STREAMS,
    TERMINATED,
    NATS_KILLED,
    NATS_PARTED,
    PEERS_LOST,
    CUT,
    DROPPED,
    DOUBLED,
    REORDERED,
    OVERFLOWING,
    CLOCKS,
)
