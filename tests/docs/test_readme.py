"""The commands in the README work as they are typed."""

import asyncio
import re

from tests.support.checkout import ROOT
from tests.support.serving import Server

README = (ROOT / "README.md").read_text()


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
