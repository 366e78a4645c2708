"""A PostgreSQL that can be stopped and started again.

As a program, `python -m tests.faults.postgres FOLDER`, it runs the server until its standard input closes:
the server ends with the thread that started it, which is the only one of this program.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from db import embedded
from db.urls import libpq_url


@dataclass
class Postgres:
    """The server on the data in a folder; its address stays the same over restarts."""

    folder: Path
    binaries: Path
    url: str = ""
    _program: asyncio.subprocess.Process | None = None
    _pid: int = 0

    async def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.postgres",
            str(self.folder),
            str(self.binaries),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._program.stdout is not None
        said = (await self._program.stdout.readline()).decode().split()
        assert len(said) == 2, "PostgreSQL does not start"
        self.url, self._pid = said[0], int(said[1])

    async def stop(self, *, crash: bool = False) -> None:
        """Stop it; after a crash, the next start recovers from the write-ahead log."""
        if self._program is None or self._program.stdin is None:
            return
        if crash:
            os.kill(self._pid, signal.SIGQUIT)
        self._program.stdin.close()
        await self._program.wait()
        self._program = None

    @property
    def _copy(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-copy")

    async def copy(self) -> None:
        """Copy the data, while the server is stopped."""
        await _copy_folder(self.folder, self._copy)

    async def restore(self) -> None:
        """Put the copy in the place of the data, while the server is stopped."""
        await asyncio.to_thread(shutil.rmtree, self.folder)
        self._copy.rename(self.folder)


async def _copy_folder(source: Path, target: Path) -> None:
    # Keeps owners and modes, which PostgreSQL checks.
    copying = await asyncio.create_subprocess_exec("cp", "-a", str(source), str(target))
    assert await copying.wait() == 0


@asynccontextmanager
async def running_postgres(
    folder: Path, binaries: Path, *, like: Path | None = None
) -> AsyncGenerator[Postgres]:
    """Run a server until the block ends, on a copy of the data in the folder `like` if given."""
    if like is not None:
        await _copy_folder(like, folder)
    postgres = Postgres(folder, binaries)
    await postgres.start()
    try:
        yield postgres
    finally:
        await postgres.stop()


def main() -> None:
    """Run the server, print its address and process ID, and wait."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder, binaries = map(Path, sys.argv[1:])
    with embedded.running(folder, binaries=binaries) as cluster:
        print(libpq_url(cluster.url()), cluster.process.pid, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
