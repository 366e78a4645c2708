"""The commands beside `messenger serve`: where they look for a database, their version and their help."""

import asyncio
import json
import os
import re
import subprocess
from asyncio.subprocess import PIPE
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from tests.support.people import Person
from tests.support.serving import MESSENGER, environment_with, run_command, running_server


@pytest.mark.parametrize(
    "command",
    [["token", "john"], ["sign-out", "john"], ["remove-user", "john", "--yes"], ["renew-epoch"], ["trim"]],
)
def test_a_command_in_a_folder_without_a_database_creates_none(tmp_path: Path, command: list[str]):
    done = run_command(tmp_path, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"messenger: no database found in {tmp_path}/.messenger. Run this command in"
    )
    assert "MESSENGER_DATA_DIR or MESSENGER_DATABASE_URL" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_command_leaves_a_folder_without_a_database_as_it_is(tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    done = run_command(tmp_path, "token", "john", data_dir="pictures")
    assert done.stderr.startswith(f"messenger: no database found in {tmp_path}/pictures. ")
    assert list((tmp_path / "pictures").iterdir()) == []


def test_migrate_creates_a_database_and_says_where(tmp_path: Path):
    done = run_command(tmp_path, "migrate")
    assert done.returncode == 0
    created = [
        line for line in map(json.loads, done.stderr.splitlines()) if line["event"] == "database created"
    ]
    assert [line["data_dir"] for line in created] == [f"{tmp_path}/.messenger"]
    unknown = run_command(tmp_path, "token", "john")
    assert unknown.stderr == "messenger: there is no user named 'john'\n"


async def test_a_second_server_on_the_same_data_says_at_once_what_it_waits_for(tmp_path: Path):
    with running_server(tmp_path) as server:
        second = await asyncio.create_subprocess_exec(
            MESSENGER, "serve", env=environment_with(port="0"), cwd=tmp_path, stderr=PIPE
        )
        try:
            assert second.stderr is not None
            async with asyncio.timeout(100):
                waits = json.loads(await second.stderr.readline())
                assert second.returncode is None
                rest = (await second.stderr.read()).decode()
            assert waits["event"] == "data directory in use by another process"
            assert waits["pid"] == str(server.process.pid)
            assert waits["data_dir"] == f"{tmp_path}/.messenger"
            assert rest.startswith(
                f"messenger: process {server.process.pid} uses the data in {tmp_path}/.messenger. Stop it ("
            )
            assert rest.count("\n") == 1
            assert await second.wait() == 1
        finally:
            with suppress(ProcessLookupError):
                second.kill()
            await second.wait()
        taken = await asyncio.to_thread(run_command, tmp_path, "serve", port=str(server.port))
        assert taken.stderr == (
            f"messenger: cannot listen on 127.0.0.1:{server.port}: another process is listening there. Stop"
            " it, or choose another port with MESSENGER_PORT\n"
        )


@pytest.mark.parametrize("data_dir", ["/proc/messenger", "/dev/null/messenger"])
def test_a_data_directory_that_cannot_be_created_is_reported_in_one_line(tmp_path: Path, data_dir: str):
    done = run_command(tmp_path, "serve", port="0", data_dir=data_dir)
    assert done.returncode == 1
    assert done.stderr.startswith("messenger: ")
    assert data_dir in done.stderr
    assert "MESSENGER_DATA_DIR" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_program_prints_its_version_and_without_a_command_its_help(tmp_path: Path):
    assert run_command(tmp_path, "--version").stdout == f"messenger {metadata.version('messenger')}\n"
    helped = run_command(tmp_path)
    for command in ("serve", "seed", "token", "renew-epoch"):
        assert f" {command} " in helped.stdout + helped.stderr


def test_a_mistyped_setting_stops_every_command(tmp_path: Path):
    (tmp_path / ".env").write_text("MESSENGER_DATA_DRI=elsewhere\n")
    for command in (["serve"], ["seed"], ["token", "john"]):
        done = run_command(tmp_path, *command)
        assert (done.returncode, done.stderr) == (
            1,
            "messenger: MESSENGER_DATA_DRI is not a setting. Did you mean MESSENGER_DATA_DIR?\n",
        )


async def test_seeding_completes_what_exists_and_repeats_nothing(tmp_path: Path):
    """john and jane have already talked, as after the commands in the README."""
    with running_server(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            john, jane = [await signed_in(http, name) for name in ("john", "jane")]
            conversation = await john.opens_conversation_with(jane)
            await john.sends("Hello Jane", to=conversation)
            done = await asyncio.to_thread(run_command, tmp_path, "seed")
            assert done.returncode == 0, done.stderr
            seeded = await contents(john, conversation)
            assert seeded[0] == "Hello Jane"
            # More than a page, all of them different but for what people do repeat.
            assert len(seeded) > 100
            assert len(set(seeded)) > 0.98 * len(seeded)
            again = await asyncio.to_thread(run_command, tmp_path, "seed")
            assert again.stdout.endswith(" 0 messages are new.\n")
            assert await contents(john, conversation) == seeded
            conversations = await john.asks(
                "{ conversations(first: 100) { edges { node { lastMessage { content } } } } }"
            )
            last = [
                edge["node"]["lastMessage"]["content"] for edge in conversations["conversations"]["edges"]
            ]
            assert len(set(last)) == len(last) > 25


async def test_removing_a_user_ends_their_access_at_the_running_server_and_keeps_their_messages(
    tmp_path: Path,
):
    with running_server(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            john, jane = [await signed_in(http, name) for name in ("john", "jane")]
            conversation = await john.opens_conversation_with(jane)
            await john.sends("Hello Jane", to=conversation)
            async with john.listening() as stream:
                removed = await asyncio.to_thread(run_command, tmp_path, "remove-user", "John", "--yes")
                said = re.fullmatch(
                    r"john has been removed\. Their ID is (\S+)\. Their messages are kept\.\n", removed.stdout
                )
                assert said
                assert (removed.returncode, removed.stderr) == (0, "")
                [error] = (await stream.answer())["errors"]
                assert error["extensions"]["code"] == "UNAUTHENTICATED"
            assert await contents(jane, conversation) == ["Hello Jane"]
            again = await asyncio.to_thread(run_command, tmp_path, "remove-user", "john", "-y")
            assert (again.returncode, again.stderr) == (1, "messenger: there is no user named 'john'\n")
            # Without the option, an ID is not a name.
            kept = await asyncio.to_thread(run_command, tmp_path, "remove-user", said[1], "-y")
            assert (kept.returncode, kept.stderr) == (1, f"messenger: there is no user named '{said[1]}'\n")
            later = await asyncio.to_thread(
                run_command, tmp_path, "remove-user", said[1], "--delete-messages", "-y"
            )
            assert later.stdout == f"All messages of {said[1]} have been deleted.\n"
            assert (later.returncode, later.stderr) == (0, "")
            assert await contents(jane, conversation) == [""]
            await jane.sends("Hello John", to=conversation)
            erased = await asyncio.to_thread(
                run_command, tmp_path, "remove-user", "jane", "--delete-messages", "-y"
            )
            assert erased.stdout.startswith("jane has been removed. Their ID is ")
            assert erased.stdout.endswith(". Their messages are deleted.\n")
            assert (erased.returncode, erased.stderr) == (0, "")


def test_a_user_is_removed_only_after_a_confirmation(tmp_path: Path):
    database = run_command(tmp_path, "seed")
    assert database.returncode == 0, database.stderr
    unattended = run_command(tmp_path, "remove-user", "john")
    assert (unattended.returncode, unattended.stdout) == (1, "")
    assert unattended.stderr == (
        "messenger: removing a user cannot be undone, so confirm it with the option --yes\n"
    )
    status, said = answering("n", tmp_path, "remove-user", "JOHN")
    assert "Remove john (ID " in said
    assert status == 1
    assert run_command(tmp_path, "token", "john").returncode == 0
    status, said = answering("y", tmp_path, "remove-user", "john")
    assert "john has been removed. " in said
    assert status == 0
    assert run_command(tmp_path, "token", "john").returncode == 1


def answering(answer: str, folder: Path, *command: str) -> tuple[int, str]:
    """Run a command in a terminal, and answer its question. Return its status and output."""
    ours, its = os.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [MESSENGER, *command],
            stdin=its,
            capture_output=True,
            cwd=folder,
            env=environment_with(),
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(its)
    return done.returncode, done.stdout.decode()


async def signed_in(http: httpx.AsyncClient, username: str) -> Person:
    response = await http.post("/auth/dev/login", json={"username": username})
    http.cookies.clear()
    return Person(username, response.json()["token"], http)


async def contents(person: Person, conversation: str) -> list[str]:
    """Return all messages of the conversation, oldest first."""
    document = """query ($id: ID!, $after: String) { node(id: $id) { ... on Conversation {
        messages(first: 100, after: $after) { edges { node { content } } pageInfo { hasNextPage endCursor } }
    } } }"""
    found: list[str] = []
    after = ""
    while True:
        page = (await person.asks(document, id=conversation, after=after or None))["node"]["messages"]
        found += [edge["node"]["content"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def test_plan_prints_how_an_operation_is_executed(tmp_path: Path):
    document = tmp_path / "document.graphql"
    document.write_text("query Me { viewer { username } } query Info { serverInfo { version } }")
    done = run_command(tmp_path, "plan", "document.graphql", "--operation", "Me")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# query Me\n#    viewer: User  ")
    assert "        value = source.username  # User.username: String!\n" in done.stdout
    assert "version" not in done.stdout
    (tmp_path / "fragments.graphql").write_text(
        "fragment Name on User { username } fragment Unused on User { id }"
    )
    document.write_text("{ viewer { ...Name } }")
    done = run_command(tmp_path, "plan", "document.graphql", "fragments.graphql")
    assert (done.returncode, done.stderr) == (0, "")
    assert "username: String!" in done.stdout
    document.write_bytes(b"\xff")
    for text, expected in (
        ("{ viewer { nobody } }", "the document is invalid: Cannot query field 'nobody' on type 'User'."),
        ("{", "Syntax Error: Expected Name, found <EOF>."),
        ("query A { __typename } query B { __typename }", "choose an operation with --operation: A, B"),
    ):
        (tmp_path / "wrong.graphql").write_text(text)
        done = run_command(tmp_path, "plan", "wrong.graphql")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"messenger: {expected}")
    for name, expected in (("missing", "No such file or directory"), (document.name, "it is not UTF-8")):
        done = run_command(tmp_path, "plan", name)
        assert (done.returncode, done.stderr) == (1, f"messenger: cannot read {name}: {expected}\n")
