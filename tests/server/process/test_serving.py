"""The program starts or says why it cannot, stops cleanly, and leaves no processes running."""

import asyncio
import json
import os
import resource
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from db.embedded import Cluster
from db.engine import Database, open_database
from server.config.reference import describe_settings
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.own_database import OwnDatabase
from tests.support.people import StreamOver
from tests.support.serving import eventually, installed_server, run_command


async def test_on_sigterm_streams_end_without_complete_and_requests_finish(
    cluster: Cluster, database: Database, tmp_path: Path
):
    # If the server waited for the streams, it would not end in time.
    with installed_server(tmp_path, database_url=cluster.url(), shutdown_seconds="300") as server:
        async with http_client(server.url) as http:
            ada = await sign_in(http, "ada")
            streams = [ada.listening() for _ in range(20)]
            opened = [await stream.__aenter__() for stream in streams]
            # A request that is in progress when the signal arrives; its body is still being sent.
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = json.dumps({"query": "{ viewer { username } }"}).encode()
            writer.write(
                b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + f"Authorization: Bearer {ada.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body[:5]
            )
            in_progress = "messenger_http_requests_in_progress"
            await eventually(lambda: server.metric(in_progress) == 22)
            server.process.send_signal(signal.SIGTERM)
            for stream in opened:
                with pytest.raises(StreamOver):
                    await stream.event()
                # There is no `complete`, which would tell the client not to reconnect.
                assert stream.seen == []
            writer.write(body[5:])
            answer = await asyncio.wait_for(reader.read(), 20)
            assert ada.username.encode() in answer
            assert await asyncio.to_thread(server.process.wait, 30) == 0
            writer.close()
            for stream in streams:
                await stream.__aexit__(None, None, None)
    assert not [line for line in server.log() if line["level"] == "error"], server.log()


async def test_shutdown_does_not_wait_longer_than_configured_for_requests(
    cluster: Cluster, database: Database, tmp_path: Path
):
    limits = {"shutdown_seconds": "1", "read_timeout_seconds": "300"}
    with installed_server(tmp_path, database_url=cluster.url(), **limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 100\r\n\r\n{")
        in_progress = "messenger_http_requests_in_progress"
        await eventually(lambda: server.metric(in_progress) == 2)
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 30) == 0
        async with asyncio.timeout(10):
            answered = await reader.read()
        assert answered.startswith(b"HTTP/1.1 503 ") and b'"UNAVAILABLE"' in answered, answered
        errors = [line["event"] for line in server.log() if line["level"] == "error"]
        assert errors == ["Cancel 1 running task(s), timeout graceful shutdown exceeded"]
        writer.close()


def test_a_server_raises_its_limit_of_open_files_to_the_system_s(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """Each stream needs a file descriptor, and a process starts with a limit of 1,024."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, most - 1), most))
    try:
        with installed_server(tmp_path, database_url=cluster.url()) as server:
            soft, hard = psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))
    assert (soft, hard) == (min(most, 2**20), most)


async def test_data_survives_a_kill_and_ctrl_c_stops_everything(tmp_path: Path):
    """The embedded database ends with its server, however that ends, and is available to the next one."""
    with installed_server(tmp_path) as server:
        async with http_client(server.url) as http:
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            conversation = await ada.opens_conversation_with(grace)
            cursor = await grace.inbox_cursor()
            await ada.sends("kept", to=conversation)
        children = psutil.Process(server.process.pid).children()
        assert [child.name() for child in children] == ["postgres"]
        server.process.kill()
    with installed_server(tmp_path) as server:
        async with http_client(server.url) as http:
            grace.http = http
            async with grace.listening(after=cursor) as heard:
                assert await heard.contents(1) == ["kept"]
        children += psutil.Process(server.process.pid).children()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    _, running = psutil.wait_procs(children, 10)
    assert not [child for child in running if child.status() != psutil.STATUS_ZOMBIE]


async def test_the_server_ends_when_its_embedded_database_ends(tmp_path: Path):
    with installed_server(tmp_path) as server:
        [postgres] = psutil.Process(server.process.pid).children()
        postgres.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(server.process.wait, 20) == 1
    assert "has ended" in server.log_path.read_text()
    assert "Traceback" not in server.log_path.read_text()


def test_commands_use_the_database_of_a_running_server(tmp_path: Path):
    with installed_server(tmp_path) as server:
        done = run_command(tmp_path, "seed")
        assert (done.returncode, done.stderr) == (0, "")
        again = run_command(tmp_path, "seed")
        assert "0 messages are new" in again.stdout
        token = run_command(tmp_path, "token", "JOHN").stdout.strip()
        query = """{
            viewer { username }
            conversations { edges { node { id otherParticipant { username } } } pageInfo { hasNextPage } }
        }"""
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.post(
            f"{server.url}/graphql", json={"query": query}, headers=headers, timeout=30
        ).json()
        assert answer["data"]["viewer"] == {"username": "john"}
        assert answer["data"]["conversations"]["pageInfo"] == {"hasNextPage": True}
        assert run_command(tmp_path, "sign-out", "John").stdout == "1 sessions ended.\n"
        assert run_command(tmp_path, "sign-out", "john").stdout == "0 sessions ended.\n"
    # Without a server, the commands start the database themselves.
    assert run_command(tmp_path, "migrate").returncode == 0
    for command in (["token"], ["sign-out"], ["remove-user", "--yes"]):
        unknown = run_command(tmp_path, *command, "nobody-has-this-name")
        complaint = "messenger: there is no user named 'nobody-has-this-name'\n"
        assert (unknown.returncode, unknown.stderr) == (1, complaint)


async def test_a_command_says_in_one_line_that_the_database_does_not_answer(cluster: Cluster, tmp_path: Path):
    """Once it is connected, and before."""
    own = await OwnDatabase.create(cluster)
    assert run_command(tmp_path, "migrate", database_url=own.url).returncode == 0
    complaint = "messenger: cannot use the database: canceling statement due to lock timeout\n"
    async with open_database(own.url) as database, database.transaction() as connection:
        await connection.execute("LOCK TABLE users, inboxes")
        for command in (["trim"], ["token", "ada"]):
            failed = await asyncio.to_thread(run_command, tmp_path, *command, database_url=own.url)
            assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", complaint)
    async with own.away():
        failed = await asyncio.to_thread(run_command, tmp_path, "token", "ada", database_url=own.url)
        assert failed.returncode == 1
        assert failed.stderr.startswith("messenger: cannot use the database: ")
        assert failed.stderr.count("\n") == 1


async def test_a_command_says_in_one_line_that_a_name_cannot_be_one(tmp_path: Path, cluster: Cluster):
    failed = run_command(tmp_path, "token", os.fsdecode(b"\xff"), database_url=cluster.url())
    assert (failed.returncode, failed.stderr) == (1, "messenger: there is no user named '\\udcff'\n")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"port": "http"}, "MESSENGER_PORT must be a whole number from 0 to 65535, not "),
        ({"port": "70000"}, "MESSENGER_PORT must be a whole number from 0 to 65535, not "),
        ({"public_url": "chat.example.com"}, "MESSENGER_PUBLIC_URL must be an http or https"),
        ({"database_url": "mysql://x"}, "MESSENGER_DATABASE_URL must be a URL such as postgresql://"),
        (
            {"database_url": "postgresql://127.0.0.1:port/x"},
            "MESSENGER_DATABASE_URL must be a URL such as postgresql://",
        ),
        (
            {"database_url": "postgresql://127.0.0.1:99999/x"},
            "MESSENGER_DATABASE_URL must be a URL such as postgresql://",
        ),
        (
            {"broadcast_url": "unix:///run/is-not-there"},
            "MESSENGER_BROADCAST_URL must name an existing folder by its absolute path",
        ),
        ({"broadcast_url": "unix://."}, "MESSENGER_BROADCAST_URL must name an existing folder"),
        (
            {"broadcast_url": "unix://" + "/." * 50},
            "MESSENGER_BROADCAST_URL must have a path of at most 80 bytes",
        ),
        (
            {"allowed_origins": "https://a.example,b"},
            'MESSENGER_ALLOWED_ORIGINS contains "b", which is not an origin',
        ),
        (
            {"heartbeat_seconds": "16"},
            "MESSENGER_HEARTBEAT_SECONDS must be a number greater than 0 and at most 15, not ",
        ),
        ({"dev_login": "perhaps"}, 'MESSENGER_DEV_LOGIN must be on or off, not "perhaps"'),
        *(
            (
                {"redirect_uris": f"https://app.example.com/ok, {address}"},
                f'MESSENGER_REDIRECT_URIS contains "{address.replace("me@", "…@")}", which ',
            )
            for address in (
                "app.example.com/signed-in",
                "http://app.example.com/signed-in",
                "javascript://app.example.com/%0Aalert(1)",
                "https://app.example.com/signed-in#x",
                "https://*.example.com/signed-in",
                "https://me@app.example.com/signed-in",
                "https://app.example.com/signed-in?code=another",
                "https://app.example.com/signed-in?state",
                "https://[/signed-in",
            )
        ),
        (
            {"trusted_proxies": "10.0.0.1,proxy"},
            'MESSENGER_TRUSTED_PROXIES contains "proxy", which is not an address or',
        ),
        ({"secret_key": "short"}, "MESSENGER_SECRET_KEY must have at least 32 random"),
        (
            {"github_client_id": "x"},
            "MESSENGER_GITHUB_CLIENT_SECRET is missing: MESSENGER_GITHUB_CLIENT_ID requires it",
        ),
        ({"oidc_issuer": "https://id.example"}, "MESSENGER_OIDC_CLIENT_ID is missing: "),
        ({"oidc_issuer": "http://id.example"}, "MESSENGER_OIDC_ISSUER must be an https URL"),
        ({"github_url": "https://a:b@github.example"}, "MESSENGER_GITHUB_URL must be an https URL"),
        (
            {"oidc_issuer": "https://id.example", "oidc_client_id": "x", "database_url": "postgresql://x"},
            "MESSENGER_SECRET_KEY is missing: MESSENGER_OIDC_ISSUER requires it (`openssl rand",
        ),
        (
            {"host": "192.0.2.1", "public_url": "http://x", "database_url": "postgresql://x"},
            "cannot listen on",
        ),
        (
            {"port": "0", "database_url": "postgresql://nobody@127.0.0.1:1/none"},
            "cannot use the database in MESSENGER_DATABASE_URL: ",
        ),
    ],
)
def test_a_wrong_setting_prevents_the_start_with_one_line_that_names_it(
    tmp_path: Path, settings: dict[str, str], complaint: str
):
    done = run_command(tmp_path, "serve", **settings)
    assert done.returncode == 1
    assert done.stderr.startswith(f"messenger: {complaint}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_errors_about_secrets_do_not_show_them(tmp_path: Path):
    for settings in (
        {"secret_key": "hunter2"},
        {"database_url": "mysql://me:hunter2@host/x"},
        {"broadcast_url": "mqtt://me:hunter2@host/x"},
    ):
        complaint = run_command(tmp_path, "serve", **settings).stderr
        assert " must " in complaint
        assert "hunter2" not in complaint


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path):
    (tmp_path / ".env").write_text(
        "MESSENGER_PORT=1\nMESSENGER_HOST=192.0.2.1\nMESSENGER_PUBLIC_URL=http://x\n"
    )
    assert "192.0.2.1:1:" in run_command(tmp_path, "serve").stderr
    assert "192.0.2.1:2:" in run_command(tmp_path, "serve", port="2").stderr
    assert "192.0.2.1:3:" in run_command(tmp_path, "serve", "--port", "3", port="2").stderr


def test_help_lists_every_setting(tmp_path: Path):
    shown = run_command(tmp_path, "serve", "--help", columns="300").stdout
    for name, _, _ in describe_settings():
        assert name in shown
