"""The memory of a server with 1,000 subscribers that never read, and their effect on one that does."""

import asyncio
import time
from pathlib import Path

import httpx
import psutil

from tests.faults.figures.people import make_conversation, make_people
from tests.faults.figures.raw_streams import RawStream, open_stream
from tests.faults.figures.sending import send
from tests.faults.world import World

SETTINGS = {"heartbeat_seconds": "10", "write_timeout_seconds": "600"}
_READERS, _PEOPLE, _MESSAGES = 1000, 50, 400
_PAGE_BYTES = 4096


async def measure(world: World) -> None:
    """Send them large messages, and print the memory over time."""
    [server] = world.servers
    memory = psutil.Process(server.pid)
    crowd = await make_people(world.database, _PEOPLE)
    reader, writer = await make_people(world.database, 2)
    public = await make_conversation(world.database, crowd)
    private = await make_conversation(world.database, [reader, writer])
    before = memory.memory_info().rss
    slow: list[RawStream] = []
    for number in range(_READERS):
        stream = await open_stream(server.port, crowd[number % _PEOPLE].token, receive_buffer=4096)
        stream.stop_reading()
        slow.append(stream)
    opened = memory.memory_info().rss
    print(f"before {before / 1e6:.0f} MB, with {_READERS} streams {opened / 1e6:.0f} MB")
    arrived = asyncio.Event()
    await open_stream(server.port, reader.token, on_event=lambda _: arrived.set())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as http:
        for number in range(1, _MESSAGES + 1):
            await send(http, crowd[0], public, f"{number} " + "x" * 470)
            if number % 50 == 0:
                started = time.monotonic()
                arrived.clear()
                await send(http, writer, private, "quick")
                await arrived.wait()
                rss = memory.memory_info().rss
                print(
                    f"after {number:4} messages to each: {rss / 1e6:6.0f} MB,"
                    f" {(rss - before) / _READERS / 1e3:.1f} kB a reader, and"
                    f" {_kernel_bytes() / _READERS / 1e3:.0f} kB in the kernel; a reader's message took"
                    f" {(time.monotonic() - started) * 1000:.0f} ms",
                    flush=True,
                )
    print(f"{sum(stream.lost for stream in slow)} were disconnected")


def _kernel_bytes() -> int:
    """Return the memory of all sockets of this machine, including our own at both ends."""
    lines = Path("/proc/net/sockstat").read_text().splitlines()
    tcp = next(line.split() for line in lines if line.startswith("TCP:"))
    return int(tcp[tcp.index("mem") + 1]) * _PAGE_BYTES
