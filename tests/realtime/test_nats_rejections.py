"""NATS rejects a client permanently, and the relay replaces it."""

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from nats.aio.client import Client

from db.embedded import Cluster
from db.engine import Database
from realtime.relays.nats import open_nats_relay
from realtime.subscribers import Subscribers
from tests.conftest import sign_in
from tests.realtime.test_relays import NATS_SERVER, running_nats
from tests.server.streams.test_long_streams import hint
from tests.support.clients import http_client
from tests.support.serving import Server, eventually, free_port, running_server


@contextmanager
def configured_nats(configuration: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a NATS server that reloads its configuration on SIGHUP."""
    with subprocess.Popen([NATS_SERVER, "-c", configuration], stderr=subprocess.DEVNULL) as process:
        yield process
        process.terminate()


async def test_a_rejected_nats_client_is_replaced_and_receives_all_hints_again(
    cluster: Cluster, database: Database, tmp_path: Path
):
    port = free_port()
    configuration = tmp_path / "nats.conf"

    def allow(connections: int) -> None:
        configuration.write_text(f"host: 127.0.0.1\nport: {port}\nmax_connections: {connections}\n")

    allow(100)
    with ExitStack() as stack:
        nats = stack.enter_context(configured_nats(configuration))
        servers: list[Server] = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            running = running_server(
                tmp_path / name,
                database_url=cluster.url(),
                broadcast_url=f"nats://127.0.0.1:{port}",
                inbox_check_seconds="600",
            )
            servers.append(stack.enter_context(running))

        def said(words: str) -> int:
            return sum(server.log_path.read_text().count(words) for server in servers)

        await eventually(lambda: said("connected to NATS") == 2)
        async with (
            http_client(servers[0].url) as here,
            http_client(servers[1].url) as there,
        ):
            ada, grace = await sign_in(here, "ada"), await sign_in(there, "grace")
            conversation = await ada.opens_conversation_with(grace)
            async with grace.listening() as at_grace, ada.listening() as at_ada:
                # There is one connection too many, so NATS sends an error that its client treats as final.
                allow(1)
                nats.send_signal(signal.SIGHUP)
                await eventually(lambda: said("connection to NATS lost") == 1)
                allow(100)
                nats.send_signal(signal.SIGHUP)
                await eventually(lambda: said("connected to NATS") == 3)
                await ada.sends("there", to=conversation)
                assert await at_grace.contents(1) == ["there"]
                await grace.sends("and back", to=conversation)
                assert await at_ada.contents(1) == ["and back"]


@pytest.mark.parametrize("name", ["connect", "subscribe", "flush", "publish"])
async def test_a_connection_closed_under_nats_py_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    """nats-py writes to a closed transport, and uvloop raises an error that no caller expects."""
    failures = [RuntimeError("the handler is closed")]
    method: Callable[..., Awaitable[Any]] = getattr(Client, name)

    async def fail(self: Client, *given: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return await method(self, *given, **named)

    monkeypatch.setattr(Client, name, fail)
    here, there, user_id = Subscribers(), Subscribers(), uuid4()
    with running_nats(tmp_path) as port:
        urls = [f"nats://127.0.0.1:{port}"]
        async with (
            open_nats_relay(urls, {}, here, lambda _: None) as sending,
            open_nats_relay(urls, {}, there, lambda _: None) as receiving,
            asyncio.timeout(20),
        ):
            await receiving.receive(user_id)
            with there.attached(user_id) as subscriber:
                # Hints are lost while a connection fails, so send until one arrives.
                received = None
                while failures or received is None:
                    sending.send([hint(user_id, 1)])
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.2):
                            received = await subscriber.next()


async def test_the_relay_stops_although_nats_py_fails_to_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    close = Client.close

    async def fail(self: Client) -> None:
        await close(self)
        raise RuntimeError("the handler is closed")

    monkeypatch.setattr(Client, "close", fail)
    subscribers = Subscribers()
    with running_nats(tmp_path) as port:
        async with asyncio.timeout(20), open_nats_relay([f"nats://127.0.0.1:{port}"], {}, subscribers, str):
            # It is connected.
            await subscribers.suspicion.wait()


async def test_the_relay_stops_although_nats_py_swallows_the_cancellation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publishing = asyncio.Event()

    async def swallow(self: Client, *given: Any, **named: Any) -> None:
        publishing.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr(Client, "publish", swallow)
    with running_nats(tmp_path) as port:
        async with (
            asyncio.timeout(20),
            open_nats_relay([f"nats://127.0.0.1:{port}"], {}, Subscribers(), str) as relay,
        ):
            relay.send([hint(uuid4(), 1)])
            await publishing.wait()
