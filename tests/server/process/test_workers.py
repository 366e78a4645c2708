"""Several workers have one address and one set of metrics, and none outlives the parent."""

import asyncio
import os
import signal
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.serving import Server, eventually, running_server


@pytest.fixture(scope="module")
def workers(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("workers")
    with running_server(folder, database_url=cluster.url(), workers="2") as running:
        yield running


def processes_of(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


async def both_listen(server: Server, times: int = 2) -> None:
    await eventually(lambda: server.log_path.read_text().count("listening for hints") >= times)


async def test_streams_on_every_worker_receive_messages_sent_to_any(workers: Server):
    await both_listen(workers)
    assert len(processes_of(workers)) == 2
    async with http_client(workers.url) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        streams = [grace.listening() for _ in range(12)]
        opened = [await stream.__aenter__() for stream in streams]
        # /metrics covers both workers, whichever of them answers.
        await eventually(lambda: workers.metric("messenger_open_streams") == 12)
        for number in range(10):
            await ada.sends(str(number), to=conversation)
        for heard in opened:
            assert await heard.contents(10) == [str(number) for number in range(10)]
        assert workers.metric("messenger_hints_total") >= 20
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_a_session_ended_on_one_worker_ends_on_all(workers: Server):
    async with http_client(workers.url) as http:
        ada = await sign_in(http, "ada")
        streams = [ada.listening() for _ in range(8)]
        opened = [await stream.__aenter__() for stream in streams]
        assert (await http.post("/auth/logout", headers=ada.headers)).status_code == 204
        for heard in opened:
            assert (await heard.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert (await heard.event()).event == "complete"
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_a_killed_worker_is_replaced_and_no_message_is_lost(workers: Server):
    await both_listen(workers)
    async with http_client(workers.url) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        cursor = await grace.inbox_cursor()
        before = processes_of(workers)
        before[0].kill()
        await eventually(lambda: len(set(processes_of(workers)) - set(before)) == 1)
        await both_listen(workers, 3)
        # Both workers serve again.
        for number in range(20):
            await ada.sends(str(number), to=conversation)
        async with grace.listening(after=cursor) as heard:
            assert await heard.contents(20) == [str(number) for number in range(20)]


async def test_a_worker_that_hangs_is_killed_and_replaced_while_the_other_serves(
    tmp_path: Path, cluster: Cluster, database: Database
):
    settings = {"workers": "2", "worker_timeout_seconds": "3"}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        await serve(server, 2)
        hung, other = processes_of(server)
        hung.suspend()
        await eventually(lambda: not hung.is_running())
        await serve(server, 3)
        assert other in processes_of(server)
        assert len(processes_of(server)) == 2
        [killed] = [line for line in server.log() if line["event"] == "worker killed"]
        assert killed["reason"] == "did not respond"
        assert killed["pid"] == hung.pid


async def test_a_worker_that_is_slow_to_start_is_not_killed(
    tmp_path: Path, cluster: Cluster, database: Database
):
    settings = {"workers": "2", "worker_timeout_seconds": "1"}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        await eventually(lambda: len([each for each in processes_of(server) if is_worker(each)]) == 2)
        slow, hung = processes_of(server)
        # Before its first heartbeat: the program takes longer than this to import.
        slow.suspend()
        await serve(server, 1)
        hung.suspend()
        await eventually(lambda: not hung.is_running())
        assert slow.is_running()
        slow.resume()
        await serve(server, 3)
        assert slow in processes_of(server)


def is_worker(process: psutil.Process) -> bool:
    """Return whether it executes the worker's program, and no longer its parent's."""
    return "server.process.worker" in process.cmdline()


async def serve(server: Server, times: int) -> None:
    await eventually(lambda: server.log_path.read_text().count("worker started") >= times)


async def test_workers_end_with_their_parent_however_it_ends(tmp_path: Path):
    """When the parent is killed, its workers and its database end too."""
    with running_server(tmp_path, workers="2") as server:
        await both_listen(server)
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len([child for child in children if child.name() == "postgres"]) > 1
        server.process.kill()
        server.process.wait()

        def is_running(child: psutil.Process) -> bool:
            return child.is_running() and child.status() != psutil.STATUS_ZOMBIE

        await eventually(lambda: not any(map(is_running, children)))


async def test_ctrl_c_stops_all_workers_cleanly(tmp_path: Path):
    with running_server(tmp_path, workers="2", shutdown_seconds="300") as server:
        await both_listen(server)
        children = processes_of(server)
        os.kill(server.process.pid, signal.SIGINT)
        assert await asyncio.to_thread(server.process.wait, 30) == 0
        assert not any(child.is_running() for child in children)
    assert [line for line in server.log() if line["level"] == "error"] == []


def test_the_memory_broadcaster_rejects_several_workers(tmp_path: Path):
    with (
        pytest.raises(
            AssertionError, match="MESSENGER_BROADCAST_URL must not be memory:// with several workers"
        ),
        running_server(tmp_path, workers="2", broadcast_url="memory://"),
    ):
        pass


async def test_workers_receive_secret_settings(cluster: Cluster, database: Database, tmp_path: Path):
    settings = {
        "secret_key": "a secret that is long enough for all of us",
        "github_client_id": "messenger",
        "github_client_secret": "another one",
    }
    with running_server(tmp_path, database_url=cluster.url(), workers="2", **settings) as server:
        await both_listen(server)
        async with http_client(server.url) as http:
            providers = await http.get("/auth/providers")
            assert "github" in providers.text
            # One worker seals the state with the key, and any worker can open it.
            begun = await http.get("/auth/github/login")
            assert begun.headers["location"].startswith("https://github.com/")
    assert "*****" not in server.log_path.read_text()
