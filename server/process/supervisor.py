"""Serving with several worker processes on one socket, and restarting workers that end."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog
from prometheus_client.multiprocess import (
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]  # it has no types
)

from realtime.backoff import Backoff
from realtime.tasks import running
from server.config.settings import Settings
from server.observability.metrics import SHARED_FOLDER_VARIABLE
from server.process.start import CannotStart
from server.process.worker import BEATS_IN_TIMEOUT, WorkerConfig

log = structlog.stdlib.get_logger(__name__)

# A worker that ends sooner than this failed to start.
_STARTED_SECONDS = 5
_MAX_FAILED_STARTS = 5
_KILL_SECONDS = 2
# Until its first heartbeat a worker imports the program, which takes longer on a machine under load.
_STARTING_SECONDS = 60
_MAX_BYTES = 1024


async def serve_with_workers(
    settings: Settings,
    listening: socket.socket,
    database_url: str,
    *watching: Coroutine[Any, Any, None],
) -> None:
    """Run `settings.workers` processes on the socket until SIGINT or SIGTERM, then stop them all.

    Workers that end are replaced, and so are those whose event loop hangs for
    `settings.worker_timeout_seconds`, which are killed. They also end when this process is killed. The
    coroutines in `watching` run meanwhile. If one raises, the workers are stopped and its exception is
    raised.

    Raises:
        CannotStart: the workers repeatedly fail to start.
    """
    listening.listen(2048)
    with (
        tempfile.TemporaryDirectory(prefix="messenger-metrics-") as metrics_folder,
        tempfile.TemporaryDirectory(prefix="messenger-hints-") as hints_folder,
    ):
        if settings.broadcast_url is None:
            settings = settings.model_copy(update={"broadcast_url": f"unix://{hints_folder}"})
        config = WorkerConfig(settings, listening.fileno(), database_url)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, stop.set)
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(work) for work in watching]
            working += [
                tasks.create_task(_keep_worker(config, metrics_folder), name=f"worker {number}")
                for number in range(settings.workers)
            ]
            await stop.wait()
            log.info("shutdown started")
            for task in working:
                task.cancel()


async def _keep_worker(config: WorkerConfig, metrics_folder: str) -> None:
    """Run a worker, and replace it when it ends; on cancellation, stop it and wait for its end."""
    backoff = Backoff()
    failed_starts = 0
    while True:
        started = time.monotonic()
        process = await _start_worker(config, metrics_folder)
        try:
            async with running(_kill_if_hung(process, config.settings), "worker heartbeats"):
                status = await process.wait()
        except asyncio.CancelledError:
            await _stop_worker(process, config.settings)
            raise
        finally:
            mark_process_dead(process.pid, metrics_folder)
        log.error("worker ended", pid=process.pid, status=status)
        if time.monotonic() - started > _STARTED_SECONDS:
            backoff.reset()
            failed_starts = 0
        else:
            failed_starts += 1
        if failed_starts == _MAX_FAILED_STARTS:
            raise CannotStart("the workers end as soon as they start; see the log for the errors")
        await backoff.wait()


async def _start_worker(config: WorkerConfig, metrics_folder: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # Do not import modules from the working directory.
        "-P",
        "-m",
        "server.process.worker",
        # The worker stops when this pipe closes, which happens however this process ends.
        stdin=asyncio.subprocess.PIPE,
        # For its heartbeats.
        stdout=asyncio.subprocess.PIPE,
        pass_fds=[config.listening_fd],
        env={**os.environ, SHARED_FOLDER_VARIABLE: metrics_folder},
        # Keeps Ctrl-C in the terminal from reaching the workers, which this process stops.
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(config.encode())
    with suppress(ConnectionError):
        await process.stdin.drain()
    return process


async def _kill_if_hung(process: asyncio.subprocess.Process, settings: Settings) -> None:
    """Kill the worker when its heartbeats stop; return when it has ended."""
    assert process.stdout is not None
    seconds = max(_STARTING_SECONDS, settings.worker_timeout_seconds)
    while (beats := await _read_within(process.stdout, seconds)) is not None:
        if not beats:
            return
        seconds = settings.worker_timeout_seconds
    log.error("worker killed", pid=process.pid, reason="did not respond", seconds=seconds)
    with suppress(ProcessLookupError):
        process.kill()


async def _read_within(stream: asyncio.StreamReader, seconds: float) -> bytes | None:
    """Return what comes next, or None if nothing comes in that time.

    The time is waited for in parts: if this process has been paused, a part ends late, and what has come
    meanwhile is read in the next one.
    """
    for _ in range(BEATS_IN_TIMEOUT):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds / BEATS_IN_TIMEOUT):
                return await stream.read(_MAX_BYTES)
    return None


async def _stop_worker(process: asyncio.subprocess.Process, settings: Settings) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(settings.drain_seconds + settings.shutdown_seconds + _KILL_SECONDS):
            await process.wait()
    except TimeoutError:
        log.warning("worker killed", pid=process.pid, reason="did not stop in time")
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
