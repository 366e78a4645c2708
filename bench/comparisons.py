"""What is compared: the messenger and a floor, which are given the same work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench import messenger
from bench.floors import DeliverSql, PageSql, Place
from bench.load import SENT_AT, Calls, Deliveries, Latency
from bench.measuring import Job, Span
from bench.population import CONTENT, Pair, Population
from bench.processes import Worker
from bench.servers import Server

FLOOR = "floor"
MESSENGER = "messenger"


@dataclass(frozen=True, slots=True)
class Subject:
    """A job, and the worker that does it."""

    worker: Worker
    job: Job


@dataclass(frozen=True, slots=True)
class Comparison:
    """Subjects, by name, that are measured in turns; one of them is the floor."""

    name: str
    subjects: Mapping[str, Subject]


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs during a run."""

    database_url: str
    database_pid: int
    population: Population
    messenger: Server
    bare: Server
    load: Worker
    sql: Worker

    def pids(self, server: Server) -> dict[str, int]:
        """Return the processes that are at work when the load generator speaks to the server."""
        return {"subject": server.pid, "load": self.load.pid, "PostgreSQL": self.database_pid}

    def pids_of_sql(self) -> dict[str, int]:
        """Return the processes that are at work when a worker speaks to PostgreSQL."""
        return {"subject": self.sql.pid, "PostgreSQL": self.database_pid}


def comparisons(stage: Stage, span: Span) -> Sequence[Comparison]:
    """Return all of them."""
    one, *_ = pairs = stage.population.pairs
    both_ways = [*pairs, *(pair.turned() for pair in pairs)]
    to_one = partial(_deliveries, stage, span, pairs=[one], callers=4, streams_each=100)
    return [
        _create_message(stage, span, "createMessage, 1 caller", callers=1),
        _create_message(stage, span, "createMessage, 16 callers", callers=16),
        # So many are answered in bursts.
        _create_message(stage, span.twice(), "createMessage, 64 callers", callers=64),
        to_one("deliveries, 100 streams of one user", document=messenger.MESSAGE_CREATED),
        to_one("deliveries, 100 streams, only the message", document=messenger.MESSAGE_ALONE),
        _deliveries(
            stage,
            span,
            "deliveries, 200 users, a stream each",
            document=messenger.MESSAGE_CREATED,
            pairs=both_ways,
            callers=16,
            streams_each=1,
        ),
        _latency(stage, span.twice(), "send to receive, 50 messages a second", both_ways, per_second=50),
        _page(stage, span, "25 of 1,000 conversations, 4 callers", callers=4),
    ]


def _create_message(stage: Stage, span: Span, name: str, *, callers: int) -> Comparison:
    """Let each caller write in a conversation of its own; the floor is the SQL that stores a message."""
    pairs = stage.population.pairs[:callers]
    server = stage.messenger
    requests = [[server.write(pair, CONTENT)] for pair in pairs]
    over_http = Calls(server.address, requests, server.marker, span, stage.pids(server))
    places = [Place(pair.conversation_id, pair.one.user_id) for pair in pairs]
    floor = DeliverSql(stage.database_url, places, CONTENT, span, stage.pids_of_sql())
    return Comparison(name, {FLOOR: Subject(stage.sql, floor), MESSENGER: Subject(stage.load, over_http)})


def _deliveries(
    stage: Stage,
    span: Span,
    name: str,
    *,
    document: str,
    pairs: Sequence[Pair],
    callers: int,
    streams_each: int,
) -> Comparison:
    """Have the second of each pair listen on some streams, and the callers write for the firsts in turn."""

    def subject(server: Server) -> Subject:
        job = Deliveries(
            server.address,
            _shared_out([server.write(pair, CONTENT) for pair in pairs], callers),
            server.marker,
            span,
            stage.pids(server),
            [server.listen(pair, document) for pair in pairs] * streams_each,
            streams_each,
        )
        return Subject(stage.load, job)

    return Comparison(name, {FLOOR: subject(stage.bare), MESSENGER: subject(stage.messenger)})


def _latency(stage: Stage, span: Span, name: str, pairs: Sequence[Pair], *, per_second: float) -> Comparison:
    """Send at a rate that leaves the messenger time to breathe, to users with a stream each."""

    def subject(server: Server) -> Subject:
        job = Latency(
            server.address,
            _shared_out([server.write(pair, SENT_AT) for pair in pairs], 16),
            server.marker,
            span,
            stage.pids(server),
            [server.listen(pair, messenger.MESSAGE_CREATED) for pair in pairs],
            per_second,
        )
        return Subject(stage.load, job)

    return Comparison(name, {FLOOR: subject(stage.bare), MESSENGER: subject(stage.messenger)})


def _page(stage: Stage, span: Span, name: str, *, callers: int) -> Comparison:
    """Read the first page of a long list; the floor is the SQL for what the page shows."""
    viewer, size = stage.population.busy, 25
    server = stage.messenger
    requests = [[messenger.page_of_conversations(viewer, size)]] * callers
    over_http = Calls(server.address, requests, messenger.PAGE_READ, span, stage.pids(server))
    floor = PageSql(stage.database_url, viewer.user_id, size, callers, span, stage.pids_of_sql())
    return Comparison(name, {FLOOR: Subject(stage.sql, floor), MESSENGER: Subject(stage.load, over_http)})


def _shared_out(requests: Sequence[bytes], callers: int) -> Sequence[Sequence[bytes]]:
    """Deal the requests to the callers, at least one to each."""
    return [requests[number % len(requests) :: callers] for number in range(callers)]
