"""The parent of all servers: it has already imported the product, so each server starts fast.

As a program, `python -m tests.faults.parent SOCKET`, it listens on a Unix socket. A client that connects and
sends an `Order` gets a new process that runs a command of the messenger, `serve` or another one, with the
given sabotage. The connection is that process's standard output, and closes when the process ends.
"""

import ctypes
import json
import os
import signal
import socketserver
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.process.command_line import app
from tests.faults.sabotage import sabotage

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Order:
    """The command to run. It logs to `server.log` in its folder."""

    folder: Path
    settings: Mapping[str, str]
    sabotage: Sequence[str]
    number: int
    seed: int
    command: Sequence[str] = ("serve", "--port=0")

    def encode(self) -> bytes:
        """Return the order as one line."""
        values = [
            str(self.folder),
            dict(self.settings),
            list(self.sabotage),
            self.number,
            self.seed,
            list(self.command),
        ]
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Order":
        folder, *others = json.loads(line)
        return cls(Path(folder), *others)

    def execute(self) -> None:
        """Run the command in this process."""
        os.chdir(self.folder)
        os.environ.update({f"MESSENGER_{name.upper()}": value for name, value in self.settings.items()})
        log = os.open("server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, sys.stderr.fileno())
        sabotage(self.sabotage, number=self.number, seed=self.seed)
        app(list(self.command))


class _ForkedProcess(socketserver.StreamRequestHandler):
    """Runs in a process of its own, forked for the connection."""

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return
        order = Order.decode(line)
        _die_with_parent()
        os.dup2(self.connection.fileno(), sys.stdout.fileno())
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        print(os.getpid(), flush=True)
        order.execute()


class _Parent(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 100
    block_on_close = False


def _die_with_parent() -> None:
    """Have Linux end this process when its parent ends for any reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Start servers until SIGTERM."""
    _die_with_parent()
    # The servers must not read settings from our environment.
    for name in [name for name in os.environ if name.startswith("MESSENGER_")]:
        del os.environ[name]
    # Tests send more requests than the limits allow.
    os.environ["MESSENGER_RATE_LIMITS"] = "off"
    with _Parent(sys.argv[1], _ForkedProcess) as parent:
        print("ready", flush=True)
        parent.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
