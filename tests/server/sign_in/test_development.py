"""Sign-in by name is only for the same machine, unless the operator opens it to others."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.requests import HTTPConnection

from db.embedded import Cluster
from db.engine import Database
from server.auth.origins import is_of_this_machine
from server.config.loopback import is_loopback
from tests.server.sign_in.signing_in import a_name, log_in, refusal
from tests.support.clients import http_client
from tests.support.people import PATIENCE_SECONDS
from tests.support.serving import Server, run_command, running_server

WARNING = "development sign-in enabled: anyone who reaches the server can sign in as any user"

PASSED_ON = [
    {"x-forwarded-for": "192.0.2.7"},
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-proto": "https"},
    {"x-forwarded-host": "localhost"},
    {"x-real-ip": "127.0.0.1"},
    {"forwarded": "for=127.0.0.1"},
    {"via": "1.1 proxy"},
    {"cf-connecting-ip": "127.0.0.1"},
    {"x-forwarded": "for=127.0.0.1"},
    {"cdn-loop": "proxy"},
]


async def start_that_fails(folder: Path, **settings: str) -> str:
    """Start the server, and return the line with which it fails."""
    failed = await asyncio.to_thread(run_command, folder, "serve", **settings)
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "0"])
@pytest.mark.parametrize("dev_login", ["", "on", "off"])
async def test_a_server_for_other_machines_needs_a_public_url(tmp_path: Path, host: str, dev_login: str):
    line = await start_that_fails(tmp_path, host=host, port="0", dev_login=dev_login)
    assert line.startswith(f"messenger: MESSENGER_PUBLIC_URL is missing: MESSENGER_HOST={host} ")
    # It fails before it does anything else.
    assert not (tmp_path / ".messenger").exists()


async def test_each_loopback_address_offers_development_sign_in(
    cluster: Cluster, database: Database, tmp_path: Path
):
    with running_server(tmp_path, database_url=cluster.url(), host="127.0.0.2") as server:
        [serving] = [line for line in server.log() if line["event"] == "serving"]
        assert serving["url"] == server.url == f"http://127.0.0.2:{server.port}"
        async with http_client(server.url) as http:
            assert (await log_in(http, a_name())).status_code == 200
            assert (await http.get("/auth/providers")).json()["devLogin"] is True
        assert WARNING not in [line["event"] for line in server.log()]


@pytest.mark.parametrize("headers", PASSED_ON, ids=str)
async def test_a_forwarded_request_cannot_sign_in(http: httpx.AsyncClient, headers: dict[str, str]):
    assert refusal(await log_in(http, a_name(), headers), 403) == "CROSS_SITE"


async def test_a_request_forwarded_by_nginx_s_defaults_cannot_sign_in(server: Server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = b'{"username": "ada"}'
    writer.write(
        b"POST /auth/dev/login HTTP/1.0\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 403 ")


async def test_a_trusted_proxy_on_this_machine_does_not_open_sign_in(
    cluster: Cluster, database: Database, tmp_path: Path
):
    settings = {"trusted_proxies": "127.0.0.1", "public_url": "http://localhost:8080"}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        async with http_client(server.url) as http:
            for client in ("192.0.2.7", "127.0.0.1"):
                headers = {"host": "localhost:8080", "x-forwarded-for": client}
                assert refusal(await log_in(http, a_name(), headers), 403) == "CROSS_SITE"


async def test_the_operator_can_open_sign_in_and_every_start_warns(
    cluster: Cluster, database: Database, tmp_path: Path
):
    settings = {"dev_login": "on", "public_url": "https://chat.example.com", "workers": "2"}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        warnings = [line for line in server.log() if line["event"] == WARNING]
        assert [(line["level"], line["setting"]) for line in warnings] == [("warning", "MESSENGER_DEV_LOGIN")]
        async with http_client(server.url) as http:
            for headers in PASSED_ON:
                assert (await log_in(http, a_name(), headers)).status_code == 200


def connection_from(client: tuple[str, int] | None, version: str = "1.1") -> HTTPConnection:
    return HTTPConnection(
        {"type": "http", "http_version": version, "client": client, "headers": [(b"host", b"localhost")]}
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_a_connection_from_a_loopback_address_is_local(address: str):
    assert is_loopback(address)
    assert is_of_this_machine(connection_from((address, 1)))


@pytest.mark.parametrize("address", ["192.0.2.7", "128.0.0.1", "::2", "::ffff:192.0.2.7", "fe80::1%eth0"])
def test_a_connection_from_another_address_is_not_local(address: str):
    """The server only listens on other addresses if the operator says so, which these tests do not."""
    assert not is_loopback(address)
    assert not is_of_this_machine(connection_from((address, 1)))
    assert not is_of_this_machine(connection_from(None))
    assert not is_of_this_machine(connection_from(("127.0.0.1", 1), "1.0"))
