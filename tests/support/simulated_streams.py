"""Simulated streams that really share events."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from db.engine import Database
from db.entries import CAUGHT_UP, MESSAGE_CREATED, InboxEntry, InboxPage, Place, Standing
from db.records import Message
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.cursors import ExpiredCursor, InboxCursor
from realtime.followed_inbox import FollowedInbox
from realtime.follower import PAGE_SIZE
from realtime.hints import Hint
from realtime.sharing import SharedEvent, SharedEvents, SharingStream
from realtime.subscribers import Subscriber, Subscribers
from realtime.wanted import Wanted
from tests.support.entries import EPOCH, page_of

READER, SENDER = UUID(int=1), UUID(int=2)
# One time for all, so that entries of different numbers have different tags.
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Turn:
    """Awaiting it runs every other task once."""

    def __await__(self) -> Generator[None]:
        yield


def chunk_of(entry: InboxEntry) -> bytes:
    return b"=%d" % entry.position if entry.kind == CAUGHT_UP else b"%d" % entry.subject_id.int


class SimulatedInbox(FollowedInbox):
    """An inbox whose log is a list; messages by the reader are left out."""

    def __init__(
        self,
        simulation: "Simulation",
        subscriber: Subscriber,
        start: InboxCursor,
        page: InboxPage | None,
        owner: object,
    ) -> None:
        super().__init__(
            cast(Database, None),
            simulation.broadcaster,
            subscriber,
            start,
            page=page,
            owner=owner,
            wanted=simulation.wanted,
            event_of=lambda _cursor, entry: chunk_of(entry),
            form=CursorForm(tags=True),
        )
        self.simulation = simulation

    async def _read_page(self, after: int, limit: int) -> InboxPage:
        return await self.simulation.read(self._wanted, after, limit)


class SimulatedStream(SharingStream):
    """A simulated stream; only its sharing is real."""

    def __init__(self, simulation: "Simulation", start: int) -> None:
        super().__init__(simulation.shared, "the same")
        self.simulation = simulation
        self.start = start
        self.received: list[int] = []
        """The numbers of the messages."""
        # The positions at which it was reported to have caught up, with how much it had received by then.
        self.reported: list[tuple[int, int]] = []
        self.reads = True
        self.is_expired = False
        self.task = simulation.loop.create_task(self.serve())

    def write_at_once(self, chunk: bytes) -> bool:
        if self.reads and chunk.startswith(b"="):
            self.reported.append((int(chunk[1:]), len(self.received)))
        elif self.reads:
            self.received.append(int(chunk))
        return self.reads

    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        return None if self.simulation.has_to_wait else cast(bytes, event)

    async def serve(self) -> None:
        cursor = self.simulation.cursor_at(self.start)
        try:
            while True:
                await self.follow(cursor)
                cursor = await self.listen()
                await Turn()
        except ExpiredCursor:
            self.is_expired = True
        finally:
            self.leave()

    async def open(self, start: InboxCursor) -> SimulatedInbox:
        simulation, subscribers = self.simulation, self.simulation.broadcaster.subscribers
        subscriber = await simulation.broadcaster.attach(READER)
        doubts = subscribers.doubts
        try:
            page = await simulation.read(simulation.wanted, start.position, PAGE_SIZE)
            if not page.standing.has(start.epoch, Place(start.position, start.tag)):
                raise ExpiredCursor  # noqa: TRY301  # detaches as every other error does
            known = page if subscribers.doubts == doubts else None
            inbox = SimulatedInbox(simulation, subscriber, start, known, owner=self)
            # Its head is written.
            await Turn()
        except BaseException:
            simulation.broadcaster.detach(subscriber)
            raise
        return inbox

    async def follow(self, cursor: str | None) -> None:
        inbox = self.led_inbox
        if inbox is None:
            assert cursor is not None
            inbox = await self.open(InboxCursor.decode(cursor, READER))
            if self.resume_at_once(inbox):
                return
        async with aclosing(inbox.entries(self)) as entries:
            async for _, entry in entries:
                place, chunk = inbox.place, chunk_of(entry)
                await Turn()
                self.hand_on(SharedEvent(place, chunk))
                if not self.write_at_once(chunk):
                    self.yield_lead()
                    while not self.write_at_once(chunk):
                        await Turn()
                if self.rejoin():
                    return
        assert self.must_listen
        await Turn()


class Simulation:
    """An inbox, its streams, and the loop that they run in."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()
        self.loop = loop or asyncio.new_event_loop()
        self.broadcaster = Broadcaster(Subscribers(backlog=3))
        self.shared = SharedEvents()
        self.epoch = EPOCH
        self.log: list[InboxEntry] = []
        self.log_reads = 0
        self.under_way: list[Hint] = []
        self.streams: list[SimulatedStream] = []
        self.has_to_wait = False
        self.kinds: frozenset[int] = frozenset({MESSAGE_CREATED})

    @property
    def wanted(self) -> Wanted:
        return Wanted(READER, self.kinds, include_mine=False)

    async def read(self, wanted: Wanted, after: int, limit: int) -> InboxPage:
        self.log_reads += 1
        await Turn()
        page = page_of(self.log, after, limit, self.epoch)
        await Turn()
        return page._replace(entries=[entry for entry in page.entries if wanted.has(entry)])

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await Turn()

    def settle(self) -> None:
        self.loop.run_until_complete(self.turns(8 * (len(self.log) + len(self.streams)) + 40))

    def store(self, author: UUID, number: int | None = None) -> Hint:
        """Store a message with this number; by default, that of its position."""
        position = len(self.log) + 1
        message = Message(UUID(int=number or position), READER, position, author, "hello", WHEN)
        self.log.append(InboxEntry.of_message(position, message))
        return Hint(READER, self.log[-1])

    async def publish(self, hints: Sequence[Hint]) -> None:
        self.broadcaster.publish(hints)

    def standing(self, position: int) -> Standing:
        standing = page_of(self.log, position, 0, self.epoch).standing
        assert standing is not None
        return standing

    def cursor_at(self, position: int) -> str:
        return InboxCursor(self.epoch, position, self.standing(position).tag).encode(READER)

    def stream(self, which: int) -> SimulatedStream:
        return self.streams[which % len(self.streams)]

    def end(self, stream: SimulatedStream) -> None:
        stream.task.cancel()
        self.loop.run_until_complete(asyncio.wait([stream.task]))
        assert stream.task.cancelled() or stream.is_expired, stream.task.exception()


class SimulationMachine(Simulation, RuleBasedStateMachine):
    """Streams that open, read and end at any time."""

    @rule(back=st.integers(0, 3))
    def a_stream_opens(self, back: int) -> None:
        self.streams.append(SimulatedStream(self, max(0, len(self.log) - back)))

    @rule(count=st.integers(1, 12))
    def time_passes(self, count: int) -> None:
        self.loop.run_until_complete(self.turns(count))

    @precondition(lambda self: self.streams)
    @rule(which=st.integers(0, 9))
    def a_client_stops_or_resumes_reading(self, which: int) -> None:
        self.stream(which).reads ^= True

    @precondition(lambda self: self.streams)
    @rule(which=st.integers(0, 9))
    def a_stream_ends(self, which: int) -> None:
        stream = self.stream(which)
        self.streams.remove(stream)
        self.end(stream)
