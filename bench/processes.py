"""The processes of a run; each is ended by its process ID when its block ends."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.cores import pinning
from bench.measuring import Job, Measured

CHECKOUT = Path(__file__).parent.parent


# The listen backlog.
_BACKLOG = 2048
# Marks the log line with a server's address. Its JSON has no spaces.
_SERVING = '"event":"serving"'
_START_SECONDS = 30


class DidNotStart(Exception):
    """A server did not start; the message is its log."""


class WorkerFailed(Exception):
    """A job failed; the message is the worker's traceback."""


@contextmanager
def running(
    command: Sequence[str],
    cores: frozenset[int] | None,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: IO[bytes] | None = None,
    environment: Mapping[str, str] = os.environ,
    folder: Path = CHECKOUT,
    pass_fds: Sequence[int] = (),
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command on these cores until the block ends."""
    with pinning(cores):
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=folder,
            pass_fds=pass_fds,
            # Ctrl-C is for the benchmark, which then ends this process.
            process_group=0,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def serving(
    command: Sequence[str],
    cores: frozenset[int] | None,
    log_path: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    folder: Path = CHECKOUT,
) -> Generator[tuple[int, tuple[str, int]]]:
    """Run a server that logs its address as `announce` does; yield its process ID and address.

    Raises:
        DidNotStart: The server did not start.
    """
    with (
        log_path.open("wb") as log_file,
        running(command, cores, stderr=log_file, environment=environment, folder=folder) as process,
    ):
        yield process.pid, _address(process, log_path)


def _address(process: subprocess.Popen[bytes], log_path: Path) -> tuple[str, int]:
    """Wait for the log line with the server's address."""
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        for line in log_path.read_text().splitlines(keepends=True):
            if _SERVING in line.replace(" ", "") and line.endswith("\n"):
                url: str = json.loads(line)["listening"]
                host, _, port = url.removeprefix("http://").rpartition(":")
                return host, int(port)
        time.sleep(0.02)
    raise DidNotStart(log_path.read_text())


def listening_socket() -> socket.socket:
    """Return a socket that listens on a free port."""
    return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)


def announce(listening: socket.socket) -> None:
    """Write a server's address to standard error."""
    host, port = listening.getsockname()
    line = json.dumps({"event": "serving", "listening": f"http://{host}:{port}"})
    print(line, file=sys.stderr, flush=True)


class Worker:
    """A process that performs jobs one after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Send jobs to a running `bench.worker`."""
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, job: Job) -> Measured:
        """Perform a job and wait for its result.

        Raises:
            WorkerFailed: The job failed.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        try:
            pickle.dump(job, requests)
            requests.flush()
            answer: Measured | str = pickle.load(answers)
        except (BrokenPipeError, EOFError):
            raise WorkerFailed(f"the worker ended with status {self._process.wait()}") from None
        if isinstance(answer, str):
            raise WorkerFailed(answer)
        return answer


@contextmanager
def worker(cores: frozenset[int] | None) -> Generator[Worker]:
    """Run a worker on these cores until the block ends."""
    command = [sys.executable, "-m", "bench.worker"]
    with running(command, cores, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Worker(process)
