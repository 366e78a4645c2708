"""The program as operators run it: separate processes, accessed over HTTP."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
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
from tests.support.forked import Forked

# Short enough not to delay tests, long enough to leave the core to the server under test.
_POLL_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.05

MESSENGER = str(Path(sys.executable).parent / "messenger")


@dataclass(frozen=True)
class Server:
    """A running `messenger serve`."""

    url: str
    process: Forked | subprocess.Popen[bytes]
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

    def is_idle(self) -> bool:
        """Return whether all requests of earlier tests have ended and been counted."""
        # This one is the request for the metrics itself.
        return self.metric("messenger_http_requests_in_progress") == 1

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, which does not depend on other load on the machine."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@contextmanager
def running_server(folder: Path, *, sabotage: Sequence[str] = (), **settings: str) -> Generator[Server]:
    """Run `messenger serve` on a free port with these settings until the block ends.

    With `sabotage`, the named parts of it are broken (tests/faults/sabotage).
    """
    environment, log_path = environment_with(**_for_tests(settings)), _new_log(folder)
    process: Forked | subprocess.Popen[bytes]
    if sabotage:
        command = [sys.executable, "-m", "tests.faults.sabotage", *sabotage, "--", "serve"]
        process = _started(command, environment | {"PYTHONPATH": str(ROOT)}, folder, log_path)
    else:
        process = Forked(["serve"], environment, folder, output=Path(os.devnull), errors=log_path)
    with _until_the_end(process, log_path) as server:
        yield server


@contextmanager
def installed_server(folder: Path, **settings: str) -> Generator[Server]:
    """Run it by the installed command, like operators, which takes 2 s of CPU time more."""
    log_path = _new_log(folder)
    process = _started([MESSENGER, "serve"], environment_with(**_for_tests(settings)), folder, log_path)
    with _until_the_end(process, log_path) as server:
        yield server


def _for_tests(settings: dict[str, str]) -> dict[str, str]:
    # Tests send more requests than the limits allow.
    return {"port": "0", "rate_limits": "off", **settings}


def _new_log(folder: Path) -> Path:
    log_path = folder / "server.log"
    log_path.write_bytes(b"")
    return log_path


def _started(
    command: Sequence[str], environment: dict[str, str], folder: Path, log_path: Path
) -> subprocess.Popen[bytes]:
    with log_path.open("wb") as log_file:
        return subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=log_file
        )


@contextmanager
def _until_the_end(process: Forked | subprocess.Popen[bytes], log_path: Path) -> Generator[Server]:
    """Wait until it serves, and stop it when the block ends."""
    try:
        yield Server(_address(process, log_path), process, log_path)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def environment_with(**settings: str) -> dict[str, str]:
    """Return the environment of this process, with only these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
    return environment | {f"MESSENGER_{name.upper()}": value for name, value in settings.items()}


def run_command(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `messenger` with these arguments and settings to its end, and return its status and output."""
    with tempfile.TemporaryDirectory() as written:
        output, errors = Path(written, "output"), Path(written, "errors")
        process = Forked(arguments, environment_with(**settings), folder, output, errors)
        try:
            status = process.wait(60)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, status, output.read_text(), errors.read_text())


def free_port() -> int:
    """Return a port that no socket uses.

    It is below the range from which systems choose ports for connections, so that none takes it meanwhile.
    """
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = random.randrange(10_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def _address(process: Forked | subprocess.Popen[bytes], log_path: Path) -> str:
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

    async def holds() -> bool:
        return await asyncio.to_thread(condition)

    await eventually_async(holds, seconds)


async def eventually_async(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait until the awaited condition holds.

    Raises:
        TimeoutError: It did not hold within that time.
    """
    pause = _POLL_SECONDS
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(pause)
            # Many conditions ask the server under test, which takes its CPU time.
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
