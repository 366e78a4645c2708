"""`messenger` in processes forked from one that has imported it.

Importing takes most of a start: 2 s of CPU time, for each of hundreds of servers and commands. The standard
library's fork server imports the program once for all of them.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["server.process.command_line", __name__])


class Forked:
    """A process that runs `messenger` with these arguments; it has the methods of `subprocess.Popen`.

    Its output goes to the files `output` and `errors`.
    """

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, output: Path, errors: Path
    ) -> None:
        # Daemons are stopped when this process ends.
        self._process = _context.Process(
            target=_run, args=(list(arguments), dict(env), cwd, output, errors), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit status.

        Raises:
            subprocess.TimeoutExpired: It has not ended within that many seconds.
        """
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired("messenger", timeout or 0)
        return status

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], environment: dict[str, str], folder: Path, output: Path, errors: Path) -> None:
    """Run `messenger` in this process, which has just been forked."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, standard in ((output, sys.stdout), (errors, sys.stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, standard.fileno())
        os.close(file)
    sys.argv = ["messenger", *arguments]

    from server.process.command_line import app  # noqa: PLC0415 -- the importing process does not need it

    app()
