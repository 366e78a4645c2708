"""10,000 idle streams in one process, and the memory of each."""

import asyncio
import time

import httpx
import psutil

from tests.faults.figures.people import make_conversation, make_people
from tests.faults.figures.raw_streams import open_stream
from tests.faults.figures.sending import send
from tests.faults.world import World

SETTINGS = {"heartbeat_seconds": "12", "inbox_check_seconds": "5"}
_STREAMS, _AT_ONCE, _WATCHED_SECONDS = 10_000, 50, 24


async def measure(world: World) -> None:
    """Open the streams, observe them, and check that a message still arrives."""
    [server] = world.servers
    process = psutil.Process(server.pid)
    people = await make_people(world.database, _STREAMS)
    before = process.memory_info().rss
    started = time.monotonic()
    opening = asyncio.Semaphore(_AT_ONCE)
    arrived = asyncio.Event()

    async def open_one(number: int) -> None:
        async with opening:
            # The number of ports per source address is limited.
            source = f"127.0.0.{2 + number % 100}"
            await open_stream(
                server.port, people[number].token, source=source, on_event=lambda _: arrived.set()
            )

    await asyncio.gather(*(open_one(number) for number in range(_STREAMS)))
    seconds = time.monotonic() - started
    rss = process.memory_info().rss
    print(
        f"{_STREAMS:,} streams of as many people opened in {seconds:.0f} s:"
        f" {before / 1e6:.0f} MB before, {rss / 1e6:.0f} MB with them,"
        f" {(rss - before) / _STREAMS / 1e3:.1f} kB each",
        flush=True,
    )
    used = process.cpu_times()
    await asyncio.sleep(_WATCHED_SECONDS)
    now = process.cpu_times()
    share = (now.user + now.system - used.user - used.system) / _WATCHED_SECONDS
    later = process.memory_info().rss
    print(
        f"idle for {_WATCHED_SECONDS} s: {share:.0%} of a core,"
        f" {(later - before) / _STREAMS / 1e3:.1f} kB each"
    )
    conversation = await make_conversation(world.database, people[:2])
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as http:
        for _ in range(5):
            arrived.clear()
            started = time.monotonic()
            await send(http, people[0], conversation, "still there?")
            await arrived.wait()
            print(f"a message among them took {(time.monotonic() - started) * 1000:.0f} ms")
