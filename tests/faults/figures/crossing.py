"""Deliveries per second, with streams and senders distributed over all processes."""

import asyncio
import time

import httpx

from tests.faults.figures.people import make_conversation, make_people
from tests.faults.figures.raw_streams import open_stream
from tests.faults.figures.sending import send
from tests.faults.world import Carrier, World

SETTINGS = {"heartbeat_seconds": "12", "inbox_check_seconds": "5"}
_GROUPS, _PEOPLE, _DEVICES, _MESSAGES = 5, 20, 5, 400


async def measure(carrier: Carrier, world: World) -> None:
    """Send messages to groups of users, and count until all have arrived everywhere."""
    ports = [server.port for server in world.servers]
    received = 0
    everything = asyncio.Event()
    expected = _GROUPS * _MESSAGES * _PEOPLE * _DEVICES

    def count(events: int) -> None:
        nonlocal received
        received += events
        if received >= expected:
            everything.set()

    groups = [await make_people(world.database, _PEOPLE) for _ in range(_GROUPS)]
    conversations = [await make_conversation(world.database, people) for people in groups]
    listeners = [someone for people in groups for someone in people for _ in range(_DEVICES)]
    for number, someone in enumerate(listeners):
        await open_stream(ports[number % len(ports)], someone.token, on_event=count)

    async def fill(number: int) -> None:
        url = f"http://127.0.0.1:{ports[number % len(ports)]}"
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            for message in range(_MESSAGES):
                await send(http, groups[number][0], conversations[number], f"number {message}")

    started = time.monotonic()
    await asyncio.gather(*(fill(number) for number in range(_GROUPS)))
    sent = time.monotonic() - started
    await everything.wait()
    seconds = time.monotonic() - started
    print(
        f"{len(ports)} processes, {carrier}: {received:,} deliveries on {len(listeners)} streams in"
        f" {seconds:.1f} s (sent after {sent:.1f} s): {received / seconds:,.0f} a second",
        flush=True,
    )
    assert received == expected
