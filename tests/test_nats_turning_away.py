"""NATS turning a client away for good, after which another client takes over."""

import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.serving import Server, eventually, running_server
from tests.test_relays import NATS_SERVER


@contextmanager
def configured_nats(configuration: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a NATS server that reads its configuration again on SIGHUP."""
    with subprocess.Popen([NATS_SERVER, "-c", configuration], stderr=subprocess.DEVNULL) as process:
        yield process
        process.terminate()


async def test_a_client_that_nats_turns_away_is_replaced_and_hears_of_everybody_again(
    cluster: Cluster, database: Database, tmp_path: Path
):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
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
            httpx.AsyncClient(base_url=servers[0].url, timeout=30) as here,
            httpx.AsyncClient(base_url=servers[1].url, timeout=30) as there,
        ):
            ada, grace = await sign_in(here, "ada"), await sign_in(there, "grace")
            conversation = await ada.opens_conversation_with(grace)
            async with grace.listening() as at_grace, ada.listening() as at_ada:
                # One is too many now, and told so with an error that its client takes as final.
                allow(1)
                nats.send_signal(signal.SIGHUP)
                await eventually(lambda: said("the connection to NATS is lost") == 1)
                allow(100)
                nats.send_signal(signal.SIGHUP)
                await eventually(lambda: said("connected to NATS") == 3)
                await ada.sends("there", to=conversation)
                assert await at_grace.contents(1) == ["there"]
                await grace.sends("and back", to=conversation)
                assert await at_ada.contents(1) == ["and back"]
