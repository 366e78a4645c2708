"""NATS with encryption and authentication:

it carries hints for authorized servers, or the log says why not.
"""

import asyncio
import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.realtime.test_relays import NATS_SERVER, assert_messages_cross, two_processes
from tests.support.clients import http_client
from tests.support.nats_accounts import Accounts
from tests.support.serving import Server, eventually, free_port, run_command, running_server


@dataclass(frozen=True)
class Files:
    """Certificates on disk: of an authority, and two that it has signed."""

    authority: Path
    server: Path
    client: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificates(tmp_path)


def certificates(folder: Path) -> Files:
    """Create a new authority and its certificates, each in a file with its key."""
    authority = trustme.CA()
    paths = [folder / name for name in ("ca.pem", "server.pem", "client.pem")]
    authority.cert_pem.write_to_path(paths[0])
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(paths[1])
    authority.issue_cert("messenger@example.com").private_key_and_cert_chain_pem.write_to_path(paths[2])
    return Files(*paths)


@contextmanager
def configured_nats(folder: Path, text: str) -> Generator[int]:
    """Run a NATS server with this configuration until the block ends; yield its port."""
    port = free_port()
    configuration = folder / "nats.conf"
    configuration.write_text(f"listen: 127.0.0.1:{port}\n{text}")
    with (
        (folder / "nats.log").open("wb") as log,
        subprocess.Popen([NATS_SERVER, "-c", configuration], stdout=log, stderr=log) as process,
    ):
        try:
            yield port
        finally:
            process.terminate()


def tls(files: Files, *, verify: bool = False) -> str:
    """Return the configuration for TLS, optionally with client certificates."""
    asks = f'verify: true, ca_file: "{files.authority}"' if verify else ""
    return f'tls {{ cert_file: "{files.server}", key_file: "{files.server}", {asks} }}'


async def connected(*servers: Server) -> None:
    for server in servers:
        await eventually(lambda server=server: "connected to NATS" in server.log_path.read_text())


async def test_hints_travel_over_tls_with_a_private_authority(
    cluster: Cluster, database: Database, tmp_path: Path, files: Files
):
    with configured_nats(tmp_path, tls(files)) as port:
        settings = {"broadcast_url": f"tls://127.0.0.1:{port}", "nats_ca_file": str(files.authority)}
        with two_processes(tmp_path, cluster, **settings) as (one, other):
            await connected(one, other)
            await assert_messages_cross(one, other)


async def test_hints_travel_through_a_nats_that_requires_a_certificate(
    cluster: Cluster, database: Database, tmp_path: Path, files: Files
):
    with configured_nats(tmp_path, tls(files, verify=True)) as port:
        settings = {
            "broadcast_url": f"tls://127.0.0.1:{port}",
            "nats_ca_file": str(files.authority),
            "nats_certificate_file": str(files.client),
            "nats_key_file": str(files.client),
        }
        with two_processes(tmp_path, cluster, **settings) as (one, other):
            await connected(one, other)
            await assert_messages_cross(one, other)


async def test_hints_travel_through_a_nats_that_requires_credentials(
    cluster: Cluster, database: Database, tmp_path: Path
):
    accounts = Accounts()
    credentials = accounts.write_credentials(tmp_path / "messenger.creds")
    with configured_nats(tmp_path, accounts.configuration()) as port:
        settings = {
            "broadcast_url": f"nats://127.0.0.1:{port}",
            "nats_credentials_file": str(credentials),
        }
        with two_processes(tmp_path, cluster, **settings) as (one, other):
            await connected(one, other)
            await assert_messages_cross(one, other)


async def test_hints_travel_through_a_nats_that_requires_a_token(
    cluster: Cluster, database: Database, tmp_path: Path
):
    with configured_nats(tmp_path, 'authorization { token: "t@ken/" }') as port:
        url = f"nats://t%40ken%2F@127.0.0.1:{port}"
        with two_processes(tmp_path, cluster, broadcast_url=url) as (one, other):
            await connected(one, other)
            await assert_messages_cross(one, other)


async def complaint(cluster: Cluster, folder: Path, lines: str, url: str, **settings: Any) -> dict[str, Any]:
    """Return what the server, which starts anyway, logs about that NATS, with the name of the setting.

    A lost connection may be logged first: without the certificate, either of the two can come first.
    """

    def complaints() -> list[dict[str, Any]]:
        return [line for line in server.log() if "check" in line]

    with configured_nats(folder, lines) as port:
        settings = {name: str(value) for name, value in settings.items()}
        url = url.format(port=port)
        with running_server(folder, database_url=cluster.url(), broadcast_url=url, **settings) as server:
            await eventually(lambda: bool(complaints()))
            async with http_client(server.url) as http:
                await sign_in(http, "ada")
            return complaints()[0]


async def test_a_nats_of_another_authority_is_not_trusted(
    cluster: Cluster, database: Database, tmp_path: Path, files: Files
):
    (tmp_path / "others").mkdir()
    others = certificates(tmp_path / "others")
    for settings in ({}, {"nats_ca_file": others.authority}):
        line = await complaint(cluster, tmp_path, tls(files), "tls://127.0.0.1:{port}", **settings)
        assert "certificate verify failed" in line["error"]
        assert line["check"] == "MESSENGER_NATS_CA_FILE"


async def test_the_log_says_that_nats_rejects_our_certificate(
    cluster: Cluster, database: Database, tmp_path: Path, files: Files
):
    (tmp_path / "others").mkdir()
    others = certificates(tmp_path / "others")
    for settings in ({}, {"nats_certificate_file": others.client}):
        settings["nats_ca_file"] = files.authority
        lines = tls(files, verify=True)
        line = await complaint(cluster, tmp_path, lines, "tls://127.0.0.1:{port}", **settings)
        assert line["check"] == "MESSENGER_NATS_CERTIFICATE_FILE"


async def test_the_log_says_that_nats_rejects_our_credentials(
    cluster: Cluster, database: Database, tmp_path: Path
):
    accounts, others = Accounts(), Accounts().write_credentials(tmp_path / "others.creds")
    password = 'authorization { user: "me", password: "right" }'
    tried: list[tuple[str, str, dict[str, Path]]] = [
        (accounts.configuration(), "nats://127.0.0.1:{port}", {}),
        (accounts.configuration(), "nats://127.0.0.1:{port}", {"nats_credentials_file": others}),
        (password, "nats://me:wrong@127.0.0.1:{port}", {}),
    ]
    for lines, url, settings in tried:
        line = await complaint(cluster, tmp_path, lines, url, **settings)
        assert "Authorization Violation" in line["error"]
        assert line["check"] == "MESSENGER_NATS_CREDENTIALS_FILE or MESSENGER_BROADCAST_URL"


async def test_credentials_can_be_replaced_while_the_server_runs(
    cluster: Cluster, database: Database, tmp_path: Path
):
    accounts, path = Accounts(), Accounts().write_credentials(tmp_path / "messenger.creds")
    with configured_nats(tmp_path, accounts.configuration()) as port:
        settings = {"broadcast_url": f"nats://127.0.0.1:{port}", "nats_credentials_file": str(path)}
        with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
            await eventually(lambda: "Authorization Violation" in server.log_path.read_text())
            accounts.write_credentials(path)
            await connected(server)


@dataclass
class Impostor:
    """Pretends to be NATS, and waits for a password."""

    visits: int = 0
    heard: bytes = b""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        info = {"server_id": "x", "version": "2.15.0", "max_payload": 1 << 20, "auth_required": True}
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        self.heard += await reader.read()
        writer.close()


async def test_no_password_is_sent_to_a_nats_without_the_required_tls(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """While it retries, the log says so once, and no inboxes are checked for lost hints because of that."""
    impostor = Impostor()
    async with await asyncio.start_server(impostor.talk, "127.0.0.1", 0) as door:
        port = door.sockets[0].getsockname()[1]
        url = f"tls://messenger:secret@127.0.0.1:{port}"
        with running_server(tmp_path, database_url=cluster.url(), broadcast_url=url) as server:
            async with http_client(server.url) as http:
                ada = await sign_in(http, "ada")
                async with ada.listening():
                    # The stream reads the log once, when it begins.
                    await eventually(lambda: server.metric("messenger_inbox_log_reads_total") == 1)
                    tried = impostor.visits
                    await eventually(lambda: impostor.visits > tried + 3)
                    assert server.metric("messenger_inbox_log_reads_total") == 1
            [line] = [line for line in server.log() if line["event"] == "NATS error"]
            assert line["error"] == "nats: secure connection not available"
            assert line["check"] == "MESSENGER_BROADCAST_URL"
    assert impostor.heard == b""


@pytest.mark.parametrize("setting", ["nats_credentials_file", "nats_ca_file", "nats_certificate_file"])
def test_an_invalid_nats_file_prevents_the_start(tmp_path: Path, setting: str):
    """nats-py itself would read a .creds file without a JWT forever."""
    for content in ("", "-----BEGIN NATS USER JWT-----\n", "\0"):
        (tmp_path / "file").write_text(content)
        result = run_command(tmp_path, "serve", **{setting: str(tmp_path / "file")})
        assert result.returncode == 1
        assert result.stderr.startswith(f"messenger: MESSENGER_{setting.upper()} must be "), result.stderr
        assert result.stderr.count("\n") == 1


def test_a_certificate_with_the_wrong_key_prevents_the_start(tmp_path: Path, files: Files):
    settings = {"nats_certificate_file": str(files.client), "nats_key_file": str(files.server)}
    result = run_command(tmp_path, "serve", **settings)
    assert result.returncode == 1
    assert result.stderr.startswith("messenger: MESSENGER_NATS_CERTIFICATE_FILE must be "), result.stderr
    result = run_command(tmp_path, "serve", nats_key_file=str(files.client))
    assert result.stderr.startswith("messenger: MESSENGER_NATS_CERTIFICATE_FILE is missing: "), result.stderr
