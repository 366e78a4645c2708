"""The program as operators run it: a separate process, accessed over HTTP."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from tests.support.checkout import ROOT

# Short enough not to delay tests, long enough to leave the core to the server under test.
_POLL_SECONDS = 0.005

MESSENGER = str(Path(sys.executable).parent / "messenger")


@dataclass(frozen=True)
class Server:
    """A running `messenger serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines so far."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def metric(self, sample: str) -> float:
        """Return the value of a sample of /metrics, or 0 if it is missing."""
        # Without verify=False, a call spends 50 ms of CPU time on loading certificates.
        lines = httpx.get(f"{self.url}/metrics", verify=False).text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample + " ")), 0)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, which does not depend on other load on the machine."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@contextmanager
def running_server(folder: Path, *, sabotage: Sequence[str] = (), **settings: str) -> Generator[Server]:
    """Run `messenger serve` on a free port with these settings until the block ends.

    With `sabotage`, the named parts of it are broken (tests/faults/sabotage).
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
    environment |= {f"MESSENGER_{name.upper()}": value for name, value in settings.items()}
    environment.setdefault("MESSENGER_PORT", "0")
    # Tests send more requests than the limits allow.
    environment.setdefault("MESSENGER_RATE_LIMITS", "off")
    command = [MESSENGER, "serve"]
    if sabotage:
        command = [sys.executable, "-m", "tests.faults.sabotage", *sabotage, "--", "serve"]
        environment["PYTHONPATH"] = str(ROOT)
    log_path = folder / "server.log"
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=log_file
        )
    try:
        yield Server(_address(process, log_path), process, log_path)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    """Return a port that no socket uses.

    It is below the range from which systems choose ports for connections, so that none takes it meanwhile.
    """
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = random.randrange(10_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def _address(process: subprocess.Popen[bytes], log_path: Path) -> str:
    """Wait for the log line with the server's address."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log_path.read_text()
        for line in log_path.read_text().splitlines():
            if '"event":"serving"' in line:
                return json.loads(line)["listening"]
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"the server does not start: {log_path.read_text()}")


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until the condition holds.

    Raises:
        TimeoutError: It did not hold within that time.
    """
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 -- another process makes it true
            await asyncio.sleep(_POLL_SECONDS)


async def eventually_async(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait until the awaited condition holds.

    Raises:
        TimeoutError: It did not hold within that time.
    """
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 -- another process makes it true
            await asyncio.sleep(_POLL_SECONDS)
