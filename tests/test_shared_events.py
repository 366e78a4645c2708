"""Streams that ask for the same share what is executed; each gets everything once, whatever others do."""

import asyncio
import json
import socket
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db.engine import Database
from db.records import InboxEntry, Message
from realtime.broadcaster import Broadcaster
from realtime.hints import Hint
from realtime.subscribers import Subscriber, Subscribers
from resolvers.followed_inbox import FollowedInbox
from server.shared_events import SharedEvent, SharedEvents, SharingStream
from tests.conftest import SignIn
from tests.people import MESSAGE_CREATED, Person
from tests.serving import Server

MESSAGES = [f"message {number}" for number in range(20)]


async def metric(http: httpx.AsyncClient, start: str) -> float:
    page = (await http.get("/metrics")).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(start))


async def executed_events(http: httpx.AsyncClient) -> float:
    return await metric(http, 'messenger_operations_total{field="messageCreated"')


async def test_an_event_is_executed_once_for_all_streams_of_a_viewer(
    http: httpx.AsyncClient, signs_in: SignIn
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(grace.listening()) for _ in range(10)]
        before = await executed_events(http)
        for text in MESSAGES:
            await ada.sends(text, to=conversation)
        for stream in streams:
            assert await stream.contents(len(MESSAGES)) == MESSAGES
        assert await executed_events(http) - before == len(MESSAGES)


async def test_an_event_that_has_been_announced_is_not_read_from_the_inbox(
    http: httpx.AsyncClient, signs_in: SignIn
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    short = "subscription { messageCreated { message { content } } }"
    # The one can be executed at once; the other names the author, whom the database has to be asked for.
    async with grace.streaming(short) as at_once, grace.listening() as reading:
        await ada.sends("first", to=conversation)
        assert await reading.contents(1) == ["first"]
        reads, executed = await metric(http, "messenger_inbox_log_reads"), await executed_events(http)
        for text in MESSAGES:
            await ada.sends(text, to=conversation)
            assert await reading.contents(1) == [text]
        assert await metric(http, "messenger_inbox_log_reads") == reads
        assert await executed_events(http) == executed + 2 * len(MESSAGES)
        for text in ["first", *MESSAGES]:
            answer = await at_once.answer()
            assert answer["data"]["messageCreated"]["message"]["content"] == text


async def test_streams_that_ask_for_something_else_get_what_they_ask_for(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    await ada.sends("before", to=conversation)
    short = "subscription { messageCreated { message { content } } }"
    async with (
        grace.listening() as usual,
        grace.listening(after=start) as late,
        grace.listening(include_mine=True) as own_too,
        grace.streaming(short) as brief,
        ada.listening() as other,
    ):
        await grace.sends("mine", to=conversation)
        await ada.sends("yours", to=conversation)
        assert await usual.contents(1) == ["yours"]
        assert await late.contents(2) == ["before", "yours"]
        assert await own_too.contents(2) == ["mine", "yours"]
        assert (await brief.answer())["data"]["messageCreated"] == {"message": {"content": "yours"}}
        assert await other.contents(1) == ["mine"]


async def test_when_the_stream_that_leads_goes_the_others_miss_nothing(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as leading:
            for _ in range(3):
                await leading.enter_async_context(grace.listening())
            streams = [await stack.enter_async_context(grace.listening()) for _ in range(5)]
            sending = asyncio.create_task(send(ada, conversation))
            assert await streams[0].contents(3) == MESSAGES[:3]
        await sending
        assert await streams[0].contents(len(MESSAGES) - 3) == MESSAGES[3:]
        for stream in streams[1:]:
            assert await stream.contents(len(MESSAGES)) == MESSAGES


async def send(author: Person, conversation: str) -> None:
    for text in MESSAGES:
        await author.sends(text, to=conversation)


async def test_a_stream_that_is_not_read_holds_up_nobody_and_has_everything_when_it_is(
    server: Server, signs_in: SignIn
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    long = [f"{number} " + "🙂" * 400 for number in range(640)]

    async def send_every_eighth(first: int) -> None:
        for text in long[first::8]:
            await ada.sends(text, to=conversation)

    async with grace.listening() as leading, grace.listening() as listening:
        reader, writer = await stalled_stream(server, grace)
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = [tasks.create_task(each.contents(len(long))) for each in (leading, listening)]
                for first in range(8):
                    tasks.create_task(send_every_eighth(first))
            everything, the_same = (each.result() for each in reading)
            assert the_same == everything
            assert sorted(everything) == sorted(long)
            received: list[str] = []
            async with asyncio.timeout(60):
                while len(received) < len(long):
                    line = await reader.readline()
                    if line.startswith(b'data: {"data"'):
                        received.append(json.loads(line[6:])["data"]["messageCreated"]["message"]["content"])
            assert received == everything
        finally:
            writer.close()


async def stalled_stream(server: Server, viewer: Person) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a stream, of which as little as possible waits on the way to be read."""
    address = urlsplit(server.url)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.setblocking(False)
    await asyncio.get_running_loop().sock_connect(opened, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=opened, limit=64 * 1024)
    body = json.dumps({"query": MESSAGE_CREATED}).encode()
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: test\r\naccept: text/event-stream\r\n"
        b"content-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b" % (viewer.token.encode(), len(body), body)
    )
    while b"id: " not in await reader.readline():
        pass
    return reader, writer


READER, SENDER = UUID(int=1), UUID(int=2)


class Turn:
    """Awaiting it lets everybody else run once."""

    def __await__(self) -> Generator[None]:
        yield


class SimulatedInbox(FollowedInbox[int]):
    """An inbox whose log is a list; what the reader has written is left out."""

    def __init__(self, log: list[InboxEntry], broadcaster: Broadcaster, subscriber: Subscriber) -> None:
        super().__init__(
            cast(Database, None),
            broadcaster,
            subscriber,
            UUID(int=0),
            include_mine=False,
            event_of=lambda _cursor, message: message.seq,
        )
        self.log = log

    def cursor(self, position: int) -> str:
        return str(position)

    async def read(self, *, after: int, limit: int) -> Sequence[InboxEntry]:
        await Turn()
        page = self.log[after : after + limit]
        await Turn()
        return page


class SimulatedStream(SharingStream):
    """A stream of which nothing is real but how it shares."""

    def __init__(self, sharing: "SharedInbox", start: int) -> None:
        super().__init__(sharing.shared, "the same")
        self.sharing = sharing
        self.start = start
        self.received: list[int] = []
        self.reads = True
        self.task = sharing.loop.create_task(self.serve())

    def write_at_once(self, chunk: bytes) -> bool:
        if self.reads:
            self.received.append(int(chunk))
        return self.reads

    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        return None if self.sharing.has_to_wait else b"%d" % cast(int, event)

    async def serve(self) -> None:
        cursor = str(self.start)
        try:
            while True:
                await self.follow(cursor)
                cursor = await self.listen()
                await Turn()
        finally:
            self.leave()

    async def follow(self, cursor: str | None) -> None:
        if self.resumed is not None:
            followed, position = self.resumed
        else:
            assert cursor is not None
            subscriber = await self.sharing.broadcaster.attach(READER)
            followed = SimulatedInbox(self.sharing.log, self.sharing.broadcaster, subscriber)
            position = int(cursor)
        events = followed.events(
            position,
            from_log=self.resumed is None,
            caught_up=lambda position: self.caught_up(position, followed),
        )
        async with aclosing(events):
            async for position, _, event in events:
                await Turn()
                chunk = b"%d" % cast(int, event)
                self.hand_on(SharedEvent(position, chunk))
                if not self.write_at_once(chunk):
                    self.hold_up_nobody()
                    while not self.write_at_once(chunk):
                        await Turn()
                if self.leaves_off():
                    return
        assert self.is_listening
        await Turn()


class SharedInbox(RuleBasedStateMachine):
    """Streams come and go, are read and not read, lead and listen; hints are lost, doubled and reordered."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()
        self.loop = loop or asyncio.new_event_loop()
        self.broadcaster = Broadcaster(Subscribers(backlog=3))
        self.shared = SharedEvents()
        self.log: list[InboxEntry] = []
        self.under_way: list[Hint] = []
        self.streams: list[SimulatedStream] = []
        self.has_to_wait = False

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await Turn()

    def store(self, author: UUID) -> Hint:
        position = len(self.log) + 1
        message = Message(UUID(int=position), READER, position, author, "hello", datetime.now(UTC))
        self.log.append(InboxEntry(position, message))
        return Hint(READER, self.log[-1])

    def due(self, stream: SimulatedStream) -> list[int]:
        return [entry.position for entry in self.log[stream.start :] if entry.message.author_id != READER]

    def stream(self, which: int) -> SimulatedStream:
        return self.streams[which % len(self.streams)]

    @initialize(has_to_wait=st.booleans())
    def events_can_be_executed_at_once_or_not(self, has_to_wait: bool) -> None:
        self.has_to_wait = has_to_wait

    @rule(author=st.sampled_from([READER, SENDER]), arrives=st.booleans())
    def a_message_is_stored(self, author: UUID, arrives: bool) -> None:
        hint = self.store(author)
        if arrives:
            self.loop.run_until_complete(self.publish([hint]))
        else:
            self.under_way.append(hint)

    async def publish(self, hints: Sequence[Hint]) -> None:
        self.broadcaster.publish(hints)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def hints_arrive(self, data: st.DataObject) -> None:
        hints = data.draw(st.lists(st.sampled_from(self.under_way), min_size=1, max_size=8))
        self.loop.run_until_complete(self.publish(hints))

    @rule()
    def the_broadcaster_may_have_missed_something(self) -> None:
        self.broadcaster.subscribers.wake_all()

    @rule(back=st.integers(0, 3))
    def a_stream_opens(self, back: int) -> None:
        self.streams.append(SimulatedStream(self, max(0, len(self.log) - back)))

    @rule(count=st.integers(1, 12))
    def time_passes(self, count: int) -> None:
        self.loop.run_until_complete(self.turns(count))

    @precondition(lambda self: self.streams)
    @rule(which=st.integers(0, 9))
    def a_client_stops_or_starts_to_read(self, which: int) -> None:
        self.stream(which).reads ^= True

    @precondition(lambda self: self.streams)
    @rule(which=st.integers(0, 9))
    def a_stream_ends(self, which: int) -> None:
        stream = self.stream(which)
        self.streams.remove(stream)
        self.end(stream)

    def end(self, stream: SimulatedStream) -> None:
        stream.task.cancel()
        self.loop.run_until_complete(asyncio.wait([stream.task]))
        assert stream.task.cancelled(), stream.task.exception()

    @invariant()
    def what_has_come_is_in_order_and_once(self) -> None:
        for stream in self.streams:
            assert stream.received == self.due(stream)[: len(stream.received)]

    @invariant()
    def somebody_hears_of_what_comes(self) -> None:
        for run in self.shared.runs.values():
            assert run.leader is not None or run.followed.subscriber.waiting is run
            assert run.followed.subscriber in self.broadcaster.subscribers

    def teardown(self) -> None:
        try:
            for stream in self.streams:
                stream.reads = True
            self.settle()
            # What is lost, the comparison with the database finds.
            self.broadcaster.subscribers.compare({READER: len(self.log)})
            self.settle()
            for stream in self.streams:
                assert stream.received == self.due(stream)
                assert stream.is_listening
            assert len(self.shared.runs) == len(self.broadcaster.subscribers) == min(1, len(self.streams))
            self.loop.run_until_complete(self.publish([self.store(SENDER)]))
            if self.has_to_wait:
                self.settle()
            # At once where that can be: nobody has had a turn.
            for stream in self.streams:
                assert stream.received == self.due(stream)
        finally:
            for stream in self.streams:
                self.end(stream)
            self.loop.close()
        assert not self.shared.runs
        assert not len(self.broadcaster.subscribers)

    def settle(self) -> None:
        self.loop.run_until_complete(self.turns(8 * (len(self.log) + len(self.streams)) + 40))


async def test_what_a_stream_has_left_undone_when_it_goes_the_next_one_does():
    sharing = SharedInbox(asyncio.get_running_loop())
    sharing.has_to_wait = True
    first, second = SimulatedStream(sharing, 0), SimulatedStream(sharing, 0)
    await sharing.turns(10)
    assert first.is_listening
    assert second.is_listening
    sharing.broadcaster.publish([sharing.store(SENDER)])
    leading = first if first.resumed else second
    staying = second if first.resumed else first
    for _ in range(10):
        # It has taken the entry, and has not executed it yet.
        if not leading.sharing.shared.runs["the same"].followed.subscriber.is_woken:
            break
        await Turn()
    leading.task.cancel()
    await sharing.turns(20)
    assert staying.received == [1]
    staying.task.cancel()
    await asyncio.wait([leading.task, staying.task])
    assert not sharing.shared.runs
    assert not len(sharing.broadcaster.subscribers)


async def test_whose_client_has_kept_it_waiting_leaves_the_inbox_to_who_follows_it_since():
    sharing = SharedInbox(asyncio.get_running_loop())
    sharing.has_to_wait = True
    streams = SimulatedStream(sharing, 0), SimulatedStream(sharing, 0)
    await sharing.turns(10)
    sharing.broadcaster.publish([sharing.store(SENDER)])
    waiting, following = streams if streams[0].resumed else streams[::-1]
    waiting.reads = False
    await sharing.turns(20)
    following.reads = False
    sharing.broadcaster.publish([sharing.store(SENDER)])
    await sharing.turns(20)
    waiting.task.cancel()
    await sharing.turns(10)
    following.reads = True
    sharing.broadcaster.publish([sharing.store(SENDER)])
    await sharing.turns(20)
    assert (waiting.received, following.received) == ([], [1, 2, 3])
    following.task.cancel()
    await asyncio.wait([waiting.task, following.task])
    assert not len(sharing.broadcaster.subscribers)


async def test_who_joins_has_had_what_the_leader_begins_after():
    sharing = SharedInbox(asyncio.get_running_loop())
    behind = SimulatedStream(sharing, 0)
    await sharing.turns(10)
    for _ in range(2):
        sharing.store(SENDER)
    ahead = SimulatedStream(sharing, 1)
    await sharing.turns(10)
    assert ahead.received == [2]
    behind.reads = False
    sharing.broadcaster.subscribers.wake_all()
    while sharing.shared.runs["the same"].leader is not ahead:
        await Turn()
    # It has not yet caught up again.
    behind.reads = True
    await sharing.turns(20)
    assert behind.received == [1, 2]
    for stream in (behind, ahead):
        stream.task.cancel()
    await asyncio.wait([behind.task, ahead.task])


SharedInbox.TestCase.settings = settings(max_examples=1_000, stateful_step_count=40, deadline=None)
TestSharedInbox = SharedInbox.TestCase
