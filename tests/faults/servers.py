"""A `messenger serve` that can be killed, stopped, started again, and sabotaged."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.serving import MESSENGER

_START_SECONDS = 40


@dataclass
class Server:
    """One serving process, and its successors with the same settings."""

    folder: Path
    settings: Mapping[str, str]
    sabotage: Sequence[str] = ()
    port: int = 0
    _process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it answers requests; one that cannot start is started again, as by systemd."""
        async with asyncio.timeout(_START_SECONDS):
            while not await self._starts():
                pass

    async def _starts(self) -> bool:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
        environment |= {f"MESSENGER_{name.upper()}": value for name, value in self.settings.items()}
        sabotaged = [sys.executable, "-m", "tests.faults.sabotage", *self.sabotage, "--"]
        program = sabotaged if self.sabotage else [MESSENGER]
        with (self.folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *program,
                "serve",
                "--port=0",
                env=environment,
                cwd=self.folder,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        # "The messenger is at http://localhost:PORT/graphql"
        said = (await self._process.stdout.readline()).decode()
        if not said:
            await self._process.wait()
            return False
        self.port = int(said.rsplit(":", 1)[1].split("/")[0])
        return True

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None and not self.has_ended:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """End it by SIGTERM."""
        if self._process is not None and not self.has_ended:
            self._process.terminate()
            await self._process.wait()

    def last_words(self) -> str:
        """Return the end of the log."""
        return (self.folder / "server.log").read_text()[-2000:]
