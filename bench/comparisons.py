"""The comparisons: subjects that are given the same work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import documents
from bench.floors import ConversationsSql, DeliverSql, MessagesSql
from bench.idle import IdleStreams
from bench.load import SENT_AT, Calls, Deliveries, Latency
from bench.measuring import Job, Span
from bench.population import CONTENT, Pair, Population
from bench.replay import Replay
from bench.resuming import Resuming
from bench.speech import GraphQL
from bench.subjects import (
    BARE_ASGI,
    BARE_SOCKETS,
    EARLIER,
    GRAFAST,
    MERCURIUS,
    MESSENGER,
    NOWHERE,
    SQL,
    STRAWBERRY,
    TWO_WORKERS,
    YOGA,
    YOGA_ONE_STATEMENT,
    Subject,
)

_PAGE = 25
_SERVERS = (MESSENGER, YOGA, YOGA_ONE_STATEMENT, MERCURIUS, STRAWBERRY)
# Grafast only answers pages.
_READERS = (MESSENGER, YOGA, MERCURIUS, GRAFAST, STRAWBERRY)
# Subscriptions in Mercurius use WebSockets.
_STREAMERS = (MESSENGER, YOGA, STRAWBERRY)
# The documents of comparisons in which messages are written and delivered.
_DELIVERED = (documents.CREATE_MESSAGE, documents.MESSAGE_CREATED)


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of every part of a run."""

    span: Span
    callers: Sequence[int] = (1, 16, 64)
    users: int = 1_000
    streams_of_one: int = 1_000
    idle: Sequence[int] = (1_000, 10_000)
    rates: Sequence[float] = (50, 200, 800)
    rates_to_one: Sequence[float] = (2, 5, 10)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A job that every named subject performs in turn.

    With `alone`, each subject is started for this comparison and ended after it, in at most that many rounds.
    Otherwise the subjects keep running for all comparisons of a round. `cold` comparisons are not warmed up.
    `sends` are the documents that clients send. All servers must give the same answer to the `question`,
    which is asked before the first round.
    """

    name: str
    subjects: Sequence[str]
    job: Callable[[str, Subject], Job]
    sends: Sequence[str]
    question: Callable[[Subject], bytes] | None = None
    alone: int = 0
    cold: bool = False


def comparisons(population: Population, scale: Scale) -> Sequence[Comparison]:
    """Return the comparisons of an ordinary run."""
    make = _Maker(population, scale)
    one_user, users = scale.streams_of_one, scale.users
    return [
        *(make.create_message(callers) for callers in scale.callers),
        make.update_message(),
        make.delete_message(),
        make.read_messages(),
        *(make.update_profile(length) for length in population.busy),
        *(make.replay(what) for what in population.replayed),
        *(make.page_of_conversations(length) for length in population.busy),
        *(make.page_of_messages(length) for length in population.talkative),
        make.deliveries_to_one("deliveries", documents.MESSAGE_CREATED, one_user),
        make.deliveries_to_one("deliveries with unread count", documents.MESSAGE_WITH_UNREAD, one_user // 10),
        make.deliveries_to_many(f"createMessage and delivery, {users:,} users"),
        make.latency_to_many(f"send to receive, {users:,} users"),
        make.latency_to_one(f"send to receive, {one_user:,} streams of one user"),
        make.idle_streams(f"{max(scale.idle):,} idle streams, then all cut at once"),
        *make.two_workers(),
    ]


def with_earlier(
    comparisons: Sequence[Comparison], forms: Mapping[str, str | None]
) -> tuple[Sequence[Comparison], Sequence[Comparison]]:
    """Return the comparisons of two versions of the messenger, and those that the earlier one cannot answer.

    `forms` maps each document to the part that the earlier version can answer, or None.
    """
    of_one = [each for each in comparisons if MESSENGER in each.subjects and TWO_WORKERS not in each.subjects]
    answered = [each for each in of_one if all(forms[document] is not None for document in each.sends)]
    with_both = [replace(each, subjects=(MESSENGER, EARLIER), question=None) for each in answered]
    return with_both, [each for each in of_one if each not in answered]


def warm_up(population: Population, scale: Scale, subject: Subject) -> Sequence[Job]:
    """Return the work that warms a subject up, so that just-in-time compilers have seen the hot paths."""
    if not isinstance(subject.speech, GraphQL) or subject.address == NOWHERE:
        return ()
    make = _Maker(population, scale)
    written = make.create_message(16)
    pages = [
        *(make.page_of_conversations(length) for length in list(population.busy)[:1]),
        *(make.page_of_messages(length) for length in list(population.talkative)[:1]),
    ]
    chosen = [written, written, *pages] if subject.speech.writes else pages
    return [each.job("", subject) for each in chosen]


def growth(population: Population, scale: Scale) -> Sequence[Comparison]:
    """Return the comparisons that show how performance changes with the amount of stored data."""
    make = _Maker(population, scale)
    return [
        *(make.page_of_conversations(length) for length in population.busy),
        *(make.page_of_messages(length) for length in population.talkative),
        *(make.create_message_after(length) for length in population.talkative),
        *(make.resuming(length) for length in population.talkative),
    ]


class _Maker:
    """Builds the comparisons for one population at one scale."""

    def __init__(self, population: Population, scale: Scale) -> None:
        self._population = population
        self._scale = scale
        self._span = scale.span

    def create_message(self, callers: int) -> Comparison:
        """Have each caller write to a conversation of its own; the floors are SQL alone and HTTP alone."""
        pairs = self._population.pairs[:callers]
        # With more callers, answers come in bursts, so the span is longer.
        span = self._span.twice() if callers > 16 else self._span

        def job(name: str, subject: Subject) -> Job:
            if name == SQL:
                return DeliverSql(subject.database_url, subject.pids, callers, span, pairs)
            requests = [[subject.speech.write(pair, CONTENT)] for pair in pairs]
            return Calls(subject.address, subject.pids, requests, span)

        floors = (SQL, BARE_ASGI, BARE_SOCKETS) if callers == 16 else (SQL, BARE_ASGI)
        return Comparison(
            f"createMessage, {_counted(callers, 'caller')}",
            (*floors, *_SERVERS),
            job,
            [documents.CREATE_MESSAGE],
        )

    def update_message(self) -> Comparison:
        """Have each caller give a message of its own two texts in turn. The peers have no equivalent."""

        def job(_name: str, subject: Subject) -> Job:
            requests = [
                [_graphql(subject).edit(pair.one, message_id, text) for text in (CONTENT, f"{CONTENT}!")]
                for pair, message_id in self._population.edited
            ]
            return Calls(subject.address, subject.pids, requests, self._span)

        return Comparison(
            f"updateMessage, {len(self._population.edited)} callers",
            (MESSENGER,),
            job,
            [documents.UPDATE_MESSAGE],
        )

    def delete_message(self) -> Comparison:
        """Have each caller delete messages of its own, one after another. The peers have no equivalent."""

        def job(_name: str, subject: Subject) -> Job:
            requests = [
                [_graphql(subject).delete(pair.one, message_id) for message_id in message_ids]
                for pair, message_ids in self._population.deleted
            ]
            return Calls(subject.address, subject.pids, requests, self._span)

        return Comparison(
            f"deleteMessage, {len(self._population.deleted)} callers",
            (MESSENGER,),
            job,
            [documents.DELETE_MESSAGE],
        )

    def update_profile(self, length: int) -> Comparison:
        """Have a user with this many conversations change pictures. The peers have no equivalent."""
        person = self._population.busy[length]

        def job(_name: str, subject: Subject) -> Job:
            urls = [f"https://example.com/{name}.png" for name in ("one", "other")]
            requests = [[_graphql(subject).picture(person, url) for url in urls]]
            return Calls(subject.address, subject.pids, requests, self._span)

        return Comparison(
            f"updateProfile, {length:,} conversations", (MESSENGER,), job, [documents.UPDATE_PROFILE]
        )

    def replay(self, what: str) -> Comparison:
        """Receive everything in an inbox. The peers have no equivalent."""
        reader, events = self._population.replayed[what]
        entries = self._population.replayed_entries

        def job(_name: str, subject: Subject) -> Job:
            opening = subject.speech.listen(reader, documents.INBOX_EVENTS)
            return Replay(
                subject.address,
                subject.pids,
                opening,
                reader,
                entries,
                events,
                self._span,
                subject.database_url,
                subject.database_log_path,
            )

        return Comparison(
            f"replay of {entries:,} entries: {what}", (MESSENGER,), job, [documents.INBOX_EVENTS]
        )

    def read_messages(self) -> Comparison:
        """Have each caller send a message and mark it as read, in turn. The peers have no equivalent."""
        pairs = self._population.pairs[:16]

        def job(_name: str, subject: Subject) -> Job:
            graphql = _graphql(subject)
            requests = [[graphql.write(pair, CONTENT), graphql.read(pair)] for pair in pairs]
            return Calls(subject.address, subject.pids, requests, self._span)

        sends = [documents.CREATE_MESSAGE, documents.READ_MESSAGES]
        return Comparison("createMessage and readMessages in turn, 16 callers", (MESSENGER,), job, sends)

    def page_of_conversations(self, length: int) -> Comparison:
        """Read the first page of a list; the floor is the SQL that reads what the page shows."""
        viewer = self._population.busy[length]

        def question(subject: Subject) -> bytes:
            return _graphql(subject).page_of_conversations(viewer, _PAGE)

        def job(name: str, subject: Subject) -> Job:
            if name == SQL:
                return ConversationsSql(subject.database_url, subject.pids, 16, self._span, viewer, _PAGE)
            return Calls(subject.address, subject.pids, [[question(subject)]] * 16, self._span)

        name = f"page of {_PAGE} of {length:,} conversations"
        return Comparison(name, (SQL, *_READERS), job, [documents.CONVERSATIONS], question)

    def page_of_messages(self, length: int) -> Comparison:
        """Read the newest page of a conversation; the floor is the SQL that reads what the page shows."""
        pair = self._population.talkative[length]

        def question(subject: Subject) -> bytes:
            return _graphql(subject).page_of_messages(pair, _PAGE)

        def job(name: str, subject: Subject) -> Job:
            if name == SQL:
                return MessagesSql(subject.database_url, subject.pids, 16, self._span, pair, _PAGE)
            return Calls(subject.address, subject.pids, [[question(subject)]] * 16, self._span)

        name = f"page of {_PAGE} of {length:,} messages"
        return Comparison(name, (SQL, *_READERS), job, [documents.MESSAGES], question)

    def create_message_after(self, length: int) -> Comparison:
        """Write messages one after the other to a conversation and inboxes that already have this length."""
        pair = self._population.talkative[length]

        def job(name: str, subject: Subject) -> Job:
            if name == SQL:
                return DeliverSql(subject.database_url, subject.pids, 1, self._span, [pair])
            return Calls(subject.address, subject.pids, [[subject.speech.write(pair, CONTENT)]], self._span)

        name = f"createMessage after {length:,} messages"
        return Comparison(name, (SQL, *_SERVERS), job, [documents.CREATE_MESSAGE])

    def deliveries_to_one(self, what: str, document: str, streams: int) -> Comparison:
        """Open all streams for one user, while four callers write to that user."""
        pair = self._population.pairs[0]

        def job(_name: str, subject: Subject) -> Job:
            openings = [subject.speech.listen(pair.other, document)] * streams
            callers = [[subject.speech.write(pair, CONTENT)]] * 4
            return Deliveries(subject.address, subject.pids, callers, self._span, openings, streams)

        floors = (BARE_ASGI, BARE_SOCKETS) if document == documents.MESSAGE_CREATED else ()
        name = f"{what}, {streams:,} streams of one user"
        return Comparison(name, (*floors, *_STREAMERS), job, [documents.CREATE_MESSAGE, document])

    def deliveries_to_many(self, name: str) -> Comparison:
        """Open one stream for every user, while sixteen callers write to the users in turn."""
        return Comparison(name, (BARE_ASGI, *_STREAMERS), self._deliveries_to_many, _DELIVERED)

    def _deliveries_to_many(self, _name: str, subject: Subject) -> Job:
        writers = self._both_directions()
        openings = [subject.speech.listen(pair.other, documents.MESSAGE_CREATED) for pair in writers]
        callers = _distributed([subject.speech.write(pair, CONTENT) for pair in writers], 16)
        return Deliveries(subject.address, subject.pids, callers, self._span, openings, 1)

    def latency_to_many(self, name: str) -> Comparison:
        """Send at fixed rates to all users in turn, with one stream each."""
        writers = self._both_directions()

        def job(_name: str, subject: Subject) -> Job:
            openings = [subject.speech.listen(pair.other, documents.MESSAGE_CREATED) for pair in writers]
            callers = _distributed([subject.speech.write(pair, SENT_AT + "~") for pair in writers], 16)
            span = self._span.twice()
            return Latency(subject.address, subject.pids, callers, span, openings, 1, self._scale.rates)

        return Comparison(name, (BARE_ASGI, *_STREAMERS), job, _DELIVERED)

    def latency_to_one(self, name: str) -> Comparison:
        """Send at fixed rates to one user with many streams."""
        streams, rates = self._scale.streams_of_one, self._scale.rates_to_one
        pair = self._population.pairs[0]

        def job(_name: str, subject: Subject) -> Job:
            openings = [subject.speech.listen(pair.other, documents.MESSAGE_CREATED)] * streams
            callers = [[subject.speech.write(pair, SENT_AT + "~")]] * 4
            span = self._span.twice()
            return Latency(subject.address, subject.pids, callers, span, openings, streams, rates)

        return Comparison(name, (BARE_ASGI, *_STREAMERS), job, _DELIVERED)

    def idle_streams(self, name: str) -> Comparison:
        """Open a stream for each of many users, and leave them idle."""
        count = max(self._scale.idle)
        pairs = self._population.pairs[: count // 2]
        listeners = [person for pair in pairs for person in (pair.one, pair.other)]

        def job(_name: str, subject: Subject) -> Job:
            speech = subject.speech
            return IdleStreams(
                subject.address,
                subject.pids,
                [speech.listen(person, documents.MESSAGE_CREATED) for person in listeners],
                self._scale.idle,
                [speech.write(place, CONTENT) for pair in pairs for place in (pair, pair.turned())]
                if speech.resumes
                else None,
            )

        return Comparison(name, (BARE_ASGI, *_STREAMERS), job, _DELIVERED, alone=2, cold=True)

    def resuming(self, length: int) -> Comparison:
        """Resume in an inbox of this length, one page before its end. The peers have no equivalent."""
        reader = self._population.talkative[length].other

        def job(_name: str, subject: Subject) -> Job:
            opening = subject.speech.listen(reader, documents.MESSAGE_CREATED)
            return Resuming(
                subject.address, subject.pids, opening, reader, _PAGE, 4, self._span, subject.database_url
            )

        name = f"coming back {_PAGE} behind an inbox of {length:,} messages"
        return Comparison(name, (MESSENGER,), job, [documents.MESSAGE_CREATED])

    def two_workers(self) -> Sequence[Comparison]:
        """Run the messenger with two workers on two cores, compared with one worker."""
        both = (MESSENGER, TWO_WORKERS)
        written = self.create_message(max(self._scale.callers))
        return [
            Comparison(f"two workers: {written.name}", both, written.job, written.sends, alone=3),
            Comparison(
                "two workers: createMessage and delivery", both, self._deliveries_to_many, _DELIVERED, alone=3
            ),
        ]

    def _both_directions(self) -> Sequence[Pair]:
        """Return the pairs in both directions, so that every user receives messages."""
        pairs = self._population.pairs[: self._scale.users // 2]
        return [*pairs, *(pair.turned() for pair in pairs)]


def _graphql(subject: Subject) -> GraphQL:
    assert isinstance(subject.speech, GraphQL)
    return subject.speech


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _distributed(requests: Sequence[bytes], callers: int) -> Sequence[Sequence[bytes]]:
    """Distribute the requests over the callers, at least one to each."""
    return [requests[number % len(requests) :: callers] for number in range(callers)]
