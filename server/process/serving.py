"""Serving in one process, from its start to its last response."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Any

import structlog
import uvicorn

from db.engine import Database, open_database
from realtime.broadcaster import Broadcaster
from realtime.caught_up import keep_reporting
from realtime.cursor_form import watch_releases
from realtime.inbox_check import check_inboxes
from server.config.settings import Settings
from server.http.connections import connections_with
from server.http.unread_answers import UnreadAnswers
from server.observability.metrics import keep_measuring
from server.process.application import Application, build_application
from server.process.broadcast import open_broadcaster
from server.process.listening import offers_dev_login, public_url_of
from server.process.trimming import keep_trimming
from server.streams.open_streams import OpenStreams, end_with_their_sessions

log = structlog.stdlib.get_logger(__name__)

_SESSION_CHECK_SECONDS = 3
_MEASURE_SECONDS = 2


async def serve(
    settings: Settings,
    listening: socket.socket,
    database_url: str,
    announce: Callable[[Application], None],
    *watching: Coroutine[Any, Any, None],
) -> None:
    """Serve until SIGINT or SIGTERM, then end the streams, finish running requests, and return.

    The database must have been migrated. `announce` is called when the server accepts requests. The
    coroutines in `watching` run meanwhile; if one raises, serving ends with its exception.
    """
    async with (
        open_database(
            database_url, pool_size=settings.database_pool_size, behind_pooler=settings.database_pooler
        ) as database,
        open_broadcaster(settings, database_url) as broadcaster,
    ):
        application = build_application(
            settings,
            public_url_of(settings, listening),
            database,
            broadcaster,
            dev_login=offers_dev_login(settings, listening),
        )
        server = _Server(_configuration(application, settings), lambda: announce(application))
        background = [*_background(settings, application, database, broadcaster), *watching]
        async with aclosing(application), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in background]
            _collect_garbage_less()
            with _signalled() as stop:
                stopping = tasks.create_task(_stop_on_signal(stop, server, application.streams, settings))
                await server.serve([listening])
            for task in (*running, stopping):
                task.cancel()


def _collect_garbage_less() -> None:
    """Run the cyclic garbage collector less often, and exclude the objects that exist at the start.

    Reference counting frees nearly everything. Each collection scans all surviving objects for cycles, which
    took a fifth of the CPU time with thousands of streams.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _background(
    settings: Settings, application: Application, database: Database, broadcaster: Broadcaster
) -> list[Coroutine[Any, Any, None]]:
    """Return the coroutines that run as long as the server does."""
    return [
        application.single_connections.keep(),
        application.streams.heartbeats.keep(),
        end_with_their_sessions(application.streams, database, _SESSION_CHECK_SECONDS),
        keep_reporting(application.streams.shared),
        watch_releases(application.cursor_form, database),
        check_inboxes(broadcaster.subscribers, database, settings.inbox_check_seconds),
        keep_trimming(database, timedelta(days=settings.inbox_retention_days)),
        keep_measuring(database, _MEASURE_SECONDS),
    ]


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would wait for open streams forever."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def _configuration(application: Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        loop="none",
        http=connections_with(
            settings.read_timeout_seconds,
            UnreadAnswers(
                max_bytes=settings.max_unread_bytes,
                min_bytes_per_second=settings.min_read_bytes_per_second,
                window_seconds=settings.write_timeout_seconds,
            ),
        ),
        timeout_keep_alive=settings.keep_alive_seconds,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # By default, uvicorn trusts X-Forwarded-For from this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )


@contextmanager
def _signalled() -> Generator[asyncio.Queue[int]]:
    """Yield a queue that receives SIGINT and SIGTERM while the block runs."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, signals.put_nowait, signum)
    try:
        yield signals
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signum)


async def _stop_on_signal(
    signals: asyncio.Queue[int], server: uvicorn.Server, streams: OpenStreams, settings: Settings
) -> None:
    """Stop the server on a signal: first drain the streams while requests are still answered, then exit."""
    await signals.get()
    log.info("shutdown started")
    draining = asyncio.create_task(streams.drain(settings.drain_seconds))
    again = asyncio.create_task(signals.get())
    try:
        await asyncio.wait((draining, again), return_when=asyncio.FIRST_COMPLETED)
        if draining.done():
            draining.result()
        server.should_exit = True
        await again
        # The second signal: exit without waiting for running requests.
        server.force_exit = True
    finally:
        draining.cancel()
        again.cancel()
