"""The programs that frontends run, from graphql/."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.support.checkout import ROOT, require

GRAPHQL = ROOT / "graphql"
OPERATIONS = sorted((GRAPHQL / "operations").glob("*.graphql"))
TOOL_SECONDS = 110
ARIADNE = ROOT / ".venv" / "ariadne" / "bin" / "ariadne-codegen"

# Node is the system's or, as for `make`, the one in our virtual environment.
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


async def run(*command: str) -> str:
    """Run a program to its end and return its output, which is also the error if it fails."""
    require(GRAPHQL / "node_modules")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=GRAPHQL, env=ENVIRONMENT, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(TOOL_SECONDS):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, f"{' '.join(command)}:\n{output.decode()}"
    return output.decode()
