"""The subjects: the messenger, its peers and the floors, each started on a database of its own."""

import os
import shutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.cores import Cores
from bench.databases import EARLIER_TEMPLATE, TEMPLATE, Databases
from bench.databases import Address as DatabaseAddress
from bench.http import Address
from bench.messenger import CURRENT, Version
from bench.processes import CHECKOUT, Worker, serving, worker
from bench.speech import Bare, GraphQL, Speech

MESSENGER = "messenger"
TWO_WORKERS = "messenger, two workers"
EARLIER = "messenger, the earlier revision"
YOGA = "graphql-yoga"
YOGA_ONE_STATEMENT = "graphql-yoga, one statement"
MERCURIUS = "Mercurius"
GRAFAST = "Grafast"
STRAWBERRY = "plain Strawberry"
SQL = "SQL alone"
BARE_ASGI = "bare ASGI"
BARE_SOCKETS = "bare sockets"

NOWHERE: Address = ("", 0)

_MESSENGERS = frozenset({MESSENGER, TWO_WORKERS, EARLIER})

PEERS_FOLDER = CHECKOUT / "bench" / "peers"

_MESSENGER_SPEECH = GraphQL(plain_ids=False, resumes=True)
_PEER_SPEECH = GraphQL(plain_ids=True, resumes=False)
_NODE_PROGRAMS: Mapping[str, tuple[Sequence[str], Speech]] = {
    YOGA: (["yoga.mjs"], _PEER_SPEECH),
    YOGA_ONE_STATEMENT: (["yoga.mjs", "--one-statement"], _PEER_SPEECH),
    MERCURIUS: (["mercurius.mjs"], _PEER_SPEECH),
    GRAFAST: (["grafast.mjs"], replace(_PEER_SPEECH, writes=False)),
}
_PYTHON_PROGRAMS: Mapping[str, tuple[str, Speech]] = {
    STRAWBERRY: ("bench.plain_strawberry", _PEER_SPEECH),
    BARE_ASGI: ("bench.bare_asgi", Bare()),
    BARE_SOCKETS: ("bench.bare_sockets", Bare()),
}


class PeersMissing(Exception):
    """The Node peers are not installed; the message says how to install them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A running subject; `address` and `speech` belong to a server."""

    worker: Worker
    pids: Mapping[str, int]
    database_url: str
    address: Address = NOWHERE
    speech: Speech = _MESSENGER_SPEECH
    database_log_path: Path = Path()


@dataclass(frozen=True, slots=True)
class Stage:
    """What all subjects share during a run."""

    folder: Path
    cores: Cores
    databases: Databases
    database_pid: int
    load: Worker
    earlier: Version | None = None
    """The earlier version, if it is measured."""
    forms: Mapping[str, str] = field(default_factory=dict[str, str])
    """What both versions are sent instead of a document: the part that the earlier one can answer."""

    @property
    def database_log_path(self) -> Path:
        """The log of PostgreSQL."""
        return self.folder / "data" / "postgres.log"

    @contextmanager
    def running(self, name: str) -> Generator[Subject]:
        """Start a subject on fresh data; end it when the block ends."""
        with self.databases.fresh(EARLIER_TEMPLATE if name == EARLIER else TEMPLATE) as database:
            if name == SQL:
                with worker(self.cores.subject) as sql:
                    yield Subject(sql, {"subject": sql.pid, "PostgreSQL": self.database_pid}, database.url)
                return
            command, environment, speech = self._how(name, database)
            cores = self.cores.two if name == TWO_WORKERS else self.cores.subject
            log_path = self.folder / f"{name}.log"
            with serving(
                command, cores, log_path, environment=environment, folder=_folder_of(name, self.folder)
            ) as (pid, address):
                pids = {"subject": pid, "load": self.load.pid, "PostgreSQL": self.database_pid}
                yield Subject(self.load, pids, database.url, address, speech, self.database_log_path)

    def _how(self, name: str, database: DatabaseAddress) -> tuple[Sequence[str], Mapping[str, str], Speech]:
        """Return a server's command, its environment, and its requests."""
        if name not in _MESSENGERS:
            return _how(name, database)
        version = self.earlier if name == EARLIER else CURRENT
        assert version is not None
        command = version.command(2 if name == TWO_WORKERS else 1)
        return command, version.environment(database.url), replace(_MESSENGER_SPEECH, forms=self.forms)


def _folder_of(name: str, scratch: Path) -> Path:
    # The messenger creates its files in the current directory.
    return scratch if name in _MESSENGERS else CHECKOUT


def _how(name: str, database: DatabaseAddress) -> tuple[Sequence[str], Mapping[str, str], Speech]:
    if name in _NODE_PROGRAMS:
        arguments, speech = _NODE_PROGRAMS[name]
        return _node(*arguments), {**os.environ, **database.variables, "NODE_ENV": "production"}, speech
    module, speech = _PYTHON_PROGRAMS[name]
    return [sys.executable, "-m", module, database.url], os.environ, speech


def _node(program: str, *arguments: str) -> Sequence[str]:
    node = node_program()
    if node is None or not (PEERS_FOLDER / "node_modules").is_dir():
        raise PeersMissing("the peers on Node are not installed: run `make bench` once")
    return [node, str(PEERS_FOLDER / program), *arguments]


def node_program() -> str | None:
    """Return the Node program for the peers: the virtual environment's, or else the system's."""
    own_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("node", path=own_first)
