"""The processes of a run, each ended by its id when its block ends."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.cores import pin
from bench.measuring import Job, Measured

CHECKOUT = Path(__file__).parent.parent


class WorkerFailed(Exception):
    """A job did not come to its end; the message is the worker's traceback."""


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
    process = subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        cwd=folder,
        pass_fds=pass_fds,
        # Ctrl-C is for the bench, which then ends this one.
        process_group=0,
    )
    try:
        pin(process.pid, cores)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Worker:
    """A process that does one job after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Give jobs to a running `bench.worker`."""
        self._process = process

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def do(self, job: Job) -> Measured:
        """Have a job done, and wait for it.

        Raises:
            WorkerFailed: it was not.
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
