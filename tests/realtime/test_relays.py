"""Hints between processes over Unix sockets, PostgreSQL and NATS:

payloads fit, and hints arrive unchanged.
"""

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.embedded import Cluster
from db.engine import Database
from db.entries import InboxEntry
from db.ids import new_id
from db.records import Message
from db.urls import libpq_url
from realtime import wire
from realtime.hints import Hint
from realtime.relays.postgres import MAX_PAYLOAD_BYTES, PostgresRelay, pack
from realtime.subscribers import Subscribers
from realtime.tasks import running
from server.config.nats_options import nats_servers
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.hints import hints
from tests.support.people import PATIENCE_SECONDS
from tests.support.serving import Server, eventually, free_port, running_server

NATS_SERVER = str(Path(sys.executable).parent / "nats-server")


@contextmanager
def running_nats(folder: Path, *options: str) -> Generator[int]:
    """Run a NATS server and yield its port."""
    port = free_port()
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen(
            [NATS_SERVER, "-a", "127.0.0.1", "-p", str(port), *options], stdout=log, stderr=log
        )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def two_processes(folder: Path, cluster: Cluster, **settings: str) -> Generator[tuple[Server, Server]]:
    """Run two servers on one database that check inboxes too rarely to make up for lost hints."""
    with ExitStack() as stack:
        servers: list[Server] = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            running = running_server(
                folder / name, database_url=cluster.url(), inbox_check_seconds="600", **settings
            )
            servers.append(stack.enter_context(running))
        yield servers[0], servers[1]


async def assert_messages_cross(one: Server, other: Server) -> None:
    """Check that messages sent on one process arrive on the other from hints alone."""
    async with (
        http_client(one.url) as here,
        http_client(other.url) as there,
    ):
        ada, grace = await sign_in(here, "ada"), await sign_in(there, "grace")
        conversation = await ada.opens_conversation_with(grace)
        async with grace.listening() as heard, ada.listening() as heard_back:
            await ada.sends("hello over there", to=conversation)
            assert await heard.contents(1) == ["hello over there"]
            reads = other.metric("messenger_inbox_log_reads_total")
            for number in range(20):
                await ada.sends(f'{number} 😀 \\ \n "', to=conversation)
            assert await heard.contents(20) == [f'{number} 😀 \\\n"' for number in range(20)]
            assert other.metric("messenger_inbox_log_reads_total") == reads
            await grace.sends("and back", to=conversation)
            assert await heard_back.contents(1) == ["and back"]


async def test_postgresql_carries_hints_between_processes(
    cluster: Cluster, database: Database, tmp_path: Path
):
    with two_processes(tmp_path, cluster, broadcast_url="postgresql://") as (one, other):
        for server in (one, other):
            await eventually(lambda server=server: "listening for hints" in server.log_path.read_text())
        await assert_messages_cross(one, other)


async def test_unix_sockets_carry_hints_between_processes_of_a_machine(
    cluster: Cluster, database: Database, tmp_path: Path
):
    folder = tmp_path / "hints"
    folder.mkdir()
    with two_processes(tmp_path, cluster, broadcast_url=f"unix://{folder}") as (one, other):
        for server in (one, other):
            await eventually(
                lambda server=server: "sending hints to another process" in server.log_path.read_text()
            )
        await assert_messages_cross(one, other)
    # They leave no files behind.
    assert list(folder.iterdir()) == []


async def test_nats_carries_hints_between_processes_and_only_where_a_user_has_a_stream(
    cluster: Cluster, database: Database, tmp_path: Path
):
    with running_nats(tmp_path, "--user", "messenger", "--pass", "s3cret/@", "-m", "0") as port:
        url = f"nats://messenger:s3cret%2F%40@127.0.0.1:{port}"
        with two_processes(tmp_path, cluster, broadcast_url=url) as (one, other):
            for server in (one, other):
                await eventually(lambda server=server: "connected to NATS" in server.log_path.read_text())
            await assert_messages_cross(one, other)


async def test_without_a_relay_messages_are_stored_and_found(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """If NATS is unreachable, createMessage succeeds, and the inbox check finds the message."""
    settings = {"broadcast_url": "nats://127.0.0.1:1", "inbox_check_seconds": "0.5"}
    with ExitStack() as stack:
        servers: list[Server] = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            servers.append(
                stack.enter_context(running_server(tmp_path / name, database_url=cluster.url(), **settings))
            )
        async with (
            http_client(servers[0].url) as here,
            http_client(servers[1].url) as there,
        ):
            ada, grace = await sign_in(here, "ada"), await sign_in(there, "grace")
            conversation = await ada.opens_conversation_with(grace)
            async with grace.listening() as heard:
                for number in range(3):
                    await ada.sends(str(number), to=conversation)
                    assert await heard.contents(1) == [str(number)]


async def test_hints_that_wait_for_a_connection_only_wake(cluster: Cluster):
    """The server that responds then may have other entries in their positions."""
    url = libpq_url(cluster.url())
    here, there = Subscribers(), Subscribers()
    one, other = PostgresRelay(url, here), PostgresRelay(url, there)
    user_id = new_id()
    early, late = (a_hint(user_id, position) for position in (1, 2))
    with there.attached(user_id) as subscriber:
        async with running(other.run(), "other"), asyncio.timeout(PATIENCE_SECONDS):
            await there.suspicion.wait()
            one.send([early, early])
            async with running(one.run(), "one"):
                assert await subscriber.next() is None
                one.send([late])
                assert await subscriber.next() == late


@given(st.lists(hints, min_size=1, max_size=40))
def test_payloads_fit_and_hold_every_hint(sent: list[Hint]):
    received: list[Hint] = []
    for payload in pack("sender", sent):
        assert len(payload.encode()) <= MAX_PAYLOAD_BYTES
        sender, *lines = payload.split("\n")
        assert sender == "sender"
        received += map(wire.decode, lines)
    assert received == sent


def a_hint(user_id: UUID, position: int, content: str = "hello") -> Hint:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    message = Message(user_id, user_id, position, user_id, content, created)
    return Hint(user_id, InboxEntry.of_message(position, message))


def test_a_hint_too_large_for_a_payload_becomes_a_wake_up():
    user_id = UUID(int=7)
    [payload] = pack("sender", [a_hint(user_id, 1, "x" * 8000)])
    assert payload.split("\n") == ["sender", user_id.hex]


@pytest.mark.parametrize("line", ["", "[]", "{}", "null", "[1,2,3,4,5,6,7,8]", "nonsense"])
def test_a_malformed_hint_is_rejected(line: str):
    with pytest.raises(ValueError):
        wire.decode(line)


@pytest.mark.parametrize(
    ("url", "servers", "options"),
    [
        ("nats://one", ["nats://one"], {}),
        ("nats://t%40ken@one:4222", ["nats://one:4222"], {"token": "t@ken"}),
        (
            "tls://me:s%2Fcret@one:4222, two:4223,",
            ["tls://one:4222", "tls://two:4223"],
            {"user": "me", "password": "s/cret"},
        ),
    ],
)
def test_a_nats_url_contains_several_servers_and_credentials(
    url: str, servers: list[str], options: dict[str, str]
):
    assert nats_servers(url) == (servers, options)
