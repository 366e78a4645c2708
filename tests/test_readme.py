"""What the README and the documents say is so: commands work as typed, and what they name is there."""

import asyncio
import re
from pathlib import Path

import pytest

from server.described_settings import describe_settings
from tests.serving import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = (
    "schema",
    "resolvers",
    "db",
    "realtime",
    "server",
    "alembic",
    "tests",
    "bench",
    "docs",
    "graphql",
    "web",
)


def test_its_table_of_settings_is_current():
    rows = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in describe_settings()]
    assert README.split("|---|---|---|\n")[-1].splitlines() == rows


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_and_settings_that_it_names_are_there(document: Path):
    text = document.read_text()
    settings = {name for name, _, _ in describe_settings()}
    named = set(re.findall(r"`(MESSENGER_[A-Z_]*[A-Z])[`=]", text))
    assert named <= settings, named - settings
    paths = re.findall(rf"[`(]((?:{'|'.join(FOLDERS)})/[\w./-]+)[`)]", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


async def test_its_two_terminals_talk(server: Server):
    listening, writing = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    jane = await typed(listening, server)
    try:
        assert jane.stdout is not None
        async with asyncio.timeout(30):
            await jane.stdout.readuntil(b"id: ")
            john = await typed(writing, server)
            answer, _ = await john.communicate()
            assert b'"userErrors":[]' in answer
            heard = await jane.stdout.readuntil(b'"author":{"username":"john"}')
        assert b"event: next" in heard
        assert b'"content":"Hello Jane"' in heard
    finally:
        jane.kill()
        await jane.wait()


async def typed(commands: str, server: Server) -> asyncio.subprocess.Process:
    """Run the commands in a shell, with this server in the place of the one that `make run` starts."""
    commands = commands.replace("localhost:8000", f"localhost:{server.port}")
    # The last command takes the shell's place, so that to end it is to end what was typed.
    head, _, last = commands.rstrip().rpartition("\ncurl ")
    return await asyncio.create_subprocess_exec(
        "bash", "-c", f"{head}\nexec curl -s {last}", stdout=asyncio.subprocess.PIPE
    )
