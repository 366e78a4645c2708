"""Streams that ask for the same share what is executed; each gets everything once, whatever others do."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.shared_events import CanListen, SharedEvent, SharedEvents, SharingStream
from tests.conftest import SignIn
from tests.people import MESSAGE_CREATED, Person
from tests.serving import Server

MESSAGES = [f"message {number}" for number in range(20)]


async def executed_events(http: httpx.AsyncClient) -> float:
    page = (await http.get("/metrics")).text
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith('messenger_operations_total{field="messageCreated"')
    )


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


class SimulatedStream:
    """A stream that follows a log by itself or is handed its events, one step at a time."""

    def __init__(self, shared: SharedEvents, log: list[int], start: int) -> None:
        self.log = log
        self.start = start
        self.received: list[int] = []
        self.reads = True
        self.read_to = start
        self.listening: asyncio.Task[None] | None = None
        self.sharing: SharingStream = shared.stream("the same", self.write)
        self.sharing.cursor = str(start)

    def write(self, chunk: bytes) -> bool:
        if self.reads:
            self.received.append(int(chunk))
        return self.reads

    def step(self) -> None:
        """Do what a stream's task does when it has its turn."""
        if self.listening is not None:
            if not self.listening.done():
                return
            self.listening.result()
            self.listening = None
            self.read_to = int(self.sharing.cursor or 0)
        if self.read_to < len(self.log):
            self.read_to += 1
            self.sharing.hand_on(SharedEvent(self.read_to, str(self.read_to), b"%d" % self.read_to))
            if not self.reads:
                self.sharing.lead_no_more()
            self.received.append(self.read_to)
            if self.sharing.can_listen:
                self.listen()
        else:
            try:
                self.sharing.caught_up(self.read_to)
            except CanListen:
                self.listen()

    def listen(self) -> None:
        self.listening = asyncio.ensure_future(self.sharing.listen())


class Sharing(RuleBasedStateMachine):
    """Streams come and go, are read and not read, lead and listen."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.shared = SharedEvents()
        self.log: list[int] = []
        self.streams: list[SimulatedStream] = []

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))

    async def _step(self, stream: SimulatedStream) -> None:
        stream.step()

    def step_of(self, stream: SimulatedStream) -> None:
        self.loop.run_until_complete(self._step(stream))
        self.turn()

    @rule()
    def a_message_is_stored(self) -> None:
        self.log.append(len(self.log) + 1)

    @rule(back=st.integers(0, 3))
    def a_stream_opens(self, back: int) -> None:
        self.streams.append(SimulatedStream(self.shared, self.log, max(0, len(self.log) - back)))

    @rule(which=st.integers(0, 9))
    def a_stream_has_its_turn(self, which: int) -> None:
        if self.streams:
            self.step_of(self.streams[which % len(self.streams)])

    @rule(which=st.integers(0, 9))
    def a_client_stops_or_starts_to_read(self, which: int) -> None:
        if self.streams:
            stream = self.streams[which % len(self.streams)]
            stream.reads = not stream.reads

    @rule(which=st.integers(0, 9))
    def a_stream_ends(self, which: int) -> None:
        if self.streams:
            stream = self.streams.pop(which % len(self.streams))
            if stream.listening is not None:
                stream.listening.cancel()
                self.turn()
            stream.sharing.lead_no_more()

    @invariant()
    def what_has_come_is_in_order_and_once(self) -> None:
        for stream in self.streams:
            count = len(stream.received)
            assert stream.received == list(range(stream.start + 1, stream.start + 1 + count))

    def teardown(self) -> None:
        for _ in range(len(self.log) + 3 * len(self.streams) + 3):
            for stream in self.streams:
                stream.reads = True
                self.step_of(stream)
        try:
            for stream in self.streams:
                assert stream.received == self.log[stream.start :]
            # All but one of them leave it to that one.
            assert sum(stream.listening is None for stream in self.streams) <= 1
        finally:
            for stream in self.streams:
                if stream.listening is not None:
                    stream.listening.cancel()
            self.turn()
            self.loop.close()


Sharing.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSharing = Sharing.TestCase


async def test_of_those_who_listen_the_one_that_has_come_least_far_leads_next():
    shared, log = SharedEvents(), [1]
    leading = SimulatedStream(shared, log, 1)
    leading.step()
    behind = SimulatedStream(shared, log, 1)
    behind.step()
    log += [2, 3]
    # This one has begun later, and knows what the one that leads has still to read.
    ahead = SimulatedStream(shared, log, 3)
    ahead.step()
    assert behind.listening is not None
    assert ahead.listening is not None
    await asyncio.sleep(0)
    leading.sharing.lead_no_more()
    await asyncio.sleep(0)
    for _ in range(3):
        behind.step()
        ahead.step()
    assert behind.received == [2, 3]
    assert ahead.received == []
    ahead.listening.cancel()
