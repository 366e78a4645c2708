"""Proxies share a connection to the server between clients; no client gets the answer to another.

Each test also runs with a server that treats upgrades as accepted, and must fail there if the proxy forwards
them.
"""

import asyncio
import json
import os
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.http.test_framing import OFFERS, Answered, answers_in, post, query_named
from tests.support.front import CADDY, NGINX, running_caddy, running_nginx
from tests.support.serving import free_port, running_server

PATIENCE_SECONDS = 60
PROXIES = {
    "nginx": (NGINX, running_nginx),
    "nginx that passes upgrades on": (NGINX, partial(running_nginx, upgrades=True)),
    "Caddy": (CADDY, running_caddy),
}
PASSES_UPGRADES_ON = ("nginx that passes upgrades on", "Caddy")
CASES = [
    *((name, ()) for name in PROXIES),
    *(
        pytest.param(
            (name, ("accept_upgrades",)),
            marks=pytest.mark.xfail(strict=True, reason="the server takes upgrades for accepted"),
        )
        for name in PASSES_UPGRADES_ON
    ),
]


@dataclass(frozen=True)
class Front:
    port: int
    trusting: ssl.SSLContext

    async def answered(self, sent: bytes) -> Answered:
        """Return the only answer to this on a separate connection."""
        reader, writer = await asyncio.open_connection("localhost", self.port, ssl=self.trusting)
        try:
            writer.write(sent)
            [answer] = answers_in(await reader.read())
            return answer
        finally:
            writer.transport.abort()


@pytest.fixture(params=CASES, ids=str)
def front(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Front]:
    name, sabotage = request.param
    program, running = PROXIES[name]
    if program is None and "CI" not in os.environ:
        pytest.skip(f"there is no {name}: apt-get install nginx caddy")
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    settings = {"database_url": cluster.url(), "trusted_proxies": "127.0.0.1", "read_timeout_seconds": "5"}
    with (
        running_server(
            folder, sabotage=sabotage, public_url=f"https://localhost:{port}", **settings
        ) as server,
        running(folder, port, [server.port, server.port]) as trusting,
    ):
        trusting.set_alpn_protocols(["http/1.1"])
        yield Front(port, trusting)


async def test_every_client_gets_its_own_answer_whatever_others_send(front: Front):
    """Some requests offer upgrades, with requests in their bodies."""

    async def asks(number: int, headers: bytes) -> None:
        name = f"of{number}"
        answer = await front.answered(post(query_named(name), headers + b"Connection: close\r\n"))
        assert (answer.status, json.loads(answer.body)) == (200, {"data": {name: "Query"}})

    offers = [b"", *OFFERS.values()]
    async with asyncio.timeout(PATIENCE_SECONDS):
        for start in range(0, 200, 20):
            async with asyncio.TaskGroup() as tasks:
                for number in range(start, start + 20):
                    tasks.create_task(asks(number, offers[number % len(offers)]))
