"""The commands in the README work as written."""

import asyncio
import re

from tests.support.checkout import ROOT
from tests.support.serving import Server

README = (ROOT / "README.md").read_text()


async def test_the_two_terminals_exchange_a_message(server: Server):
    listening, writing = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    jane = await running_commands(listening, server)
    try:
        assert jane.stdout is not None
        async with asyncio.timeout(30):
            await jane.stdout.readuntil(b"id: ")
            john = await running_commands(writing, server)
            answer, _ = await john.communicate()
            assert b'"userErrors":[]' in answer
            heard = await jane.stdout.readuntil(b'"author":{"username":"john"}')
        assert b"event: next" in heard
        assert b'"content":"Hello Jane"' in heard
    finally:
        jane.kill()
        await jane.wait()


async def running_commands(commands: str, server: Server) -> asyncio.subprocess.Process:
    """Run the commands in a shell against this server instead of the one that `make run` starts."""
    commands = commands.replace("localhost:8000", f"localhost:{server.port}")
    # The last command replaces the shell, so ending that process ends the command.
    head, _, last = commands.rstrip().rpartition("\ncurl ")
    return await asyncio.create_subprocess_exec(
        "bash", "-c", f"{head}\nexec curl -s {last}", stdout=asyncio.subprocess.PIPE
    )
