"""Simulated streams that really share events: whatever happens, each gets everything once."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db.engine import Database
from db.entries import CAUGHT_UP, MESSAGE_CREATED, InboxEntry, InboxPage
from db.records import Message
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.cursors import InboxCursor
from realtime.followed_inbox import FollowedInbox
from realtime.hints import Hint
from realtime.sharing import Role, SharedEvent, SharedEvents, SharingStream
from realtime.subscribers import Subscriber, Subscribers
from realtime.wanted import Wanted
from tests.support.entries import page_of

READER, SENDER = UUID(int=1), UUID(int=2)


class Turn:
    """Awaiting it runs every other task once."""

    def __await__(self) -> Generator[None]:
        yield


def chunk_of(entry: InboxEntry) -> bytes:
    return b"%s%d" % (b"=" if entry.kind == CAUGHT_UP else b"", entry.position)


class SimulatedInbox(FollowedInbox):
    """An inbox whose log is a list; messages by the reader are left out."""

    def __init__(self, sharing: "SharedInbox", subscriber: Subscriber, start: int, owner: object) -> None:
        super().__init__(
            cast(Database, None),
            sharing.broadcaster,
            subscriber,
            InboxCursor(UUID(int=0), start),
            owner=owner,
            wanted=Wanted(READER, sharing.kinds, include_mine=False),
            event_of=lambda _cursor, entry: chunk_of(entry),
            form=CursorForm(),
        )
        self.sharing = sharing

    def cursor(self, position: int) -> str:
        return str(position)

    async def read(self, *, after: int, limit: int) -> InboxPage:
        self.sharing.log_reads += 1
        await Turn()
        page = page_of(self.sharing.log, after, limit)
        await Turn()
        return page._replace(entries=[entry for entry in page.entries if self._wanted.has(entry)])


class SimulatedStream(SharingStream):
    """A simulated stream; only its sharing is real."""

    def __init__(self, sharing: "SharedInbox", start: int) -> None:
        super().__init__(sharing.shared, "the same")
        self.sharing = sharing
        self.start = start
        self.received: list[int] = []
        # The positions of which it was told that it has caught up, with how much it had received by then.
        self.told: list[tuple[int, int]] = []
        self.reads = True
        self.task = sharing.loop.create_task(self.serve())

    def write_at_once(self, chunk: bytes) -> bool:
        if self.reads and chunk.startswith(b"="):
            self.told.append((int(chunk[1:]), len(self.received)))
        elif self.reads:
            self.received.append(int(chunk))
        return self.reads

    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        return None if self.sharing.has_to_wait else cast(bytes, event)

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
        inbox = self.led_inbox
        if inbox is None:
            assert cursor is not None
            subscriber = await self.sharing.broadcaster.attach(READER)
            inbox = SimulatedInbox(self.sharing, subscriber, int(cursor), owner=self)
        async with aclosing(inbox.entries(self)) as entries:
            async for _, entry in entries:
                await Turn()
                chunk = chunk_of(entry)
                self.hand_on(SharedEvent(entry.position, chunk))
                if not self.write_at_once(chunk):
                    self.yield_lead()
                    while not self.write_at_once(chunk):
                        await Turn()
                if self.rejoin():
                    return
        assert self.must_listen
        await Turn()


class SharedInbox(RuleBasedStateMachine):
    """Streams start and end, stall, lead and listen; hints are lost, duplicated and reordered."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()
        self.loop = loop or asyncio.new_event_loop()
        self.broadcaster = Broadcaster(Subscribers(backlog=3))
        self.shared = SharedEvents()
        self.log: list[InboxEntry] = []
        self.log_reads = 0
        self.under_way: list[Hint] = []
        self.streams: list[SimulatedStream] = []
        self.has_to_wait = False
        self.kinds = frozenset({MESSAGE_CREATED})

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await Turn()

    def store(self, author: UUID) -> Hint:
        position = len(self.log) + 1
        message = Message(UUID(int=position), READER, position, author, "hello", datetime.now(UTC))
        self.log.append(InboxEntry.of_message(position, message))
        return Hint(READER, self.log[-1])

    def due(self, stream: SimulatedStream) -> list[int]:
        return [entry.position for entry in self.log[stream.start :] if entry.actor_id != READER]

    def stream(self, which: int) -> SimulatedStream:
        return self.streams[which % len(self.streams)]

    @initialize(has_to_wait=st.booleans(), tells=st.booleans())
    def events_can_be_executed_at_once_or_not(self, has_to_wait: bool, tells: bool) -> None:
        self.has_to_wait = has_to_wait
        if tells:
            self.kinds |= {CAUGHT_UP}

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
        self.broadcaster.subscribers.wake(READER)

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

    def end(self, stream: SimulatedStream) -> None:
        stream.task.cancel()
        self.loop.run_until_complete(asyncio.wait([stream.task]))
        assert stream.task.cancelled(), stream.task.exception()

    @invariant()
    def received_events_are_in_order_and_unique(self) -> None:
        for stream in self.streams:
            assert stream.received == self.due(stream)[: len(stream.received)]

    @rule()
    def streams_are_told_what_they_have_passed(self) -> None:
        for run in list(self.shared.runs.values()):
            run.tell_caught_up()

    @invariant()
    def a_stream_is_told_of_each_position_once_and_after_all_events_up_to_it(self) -> None:
        for stream in self.streams:
            due, known = self.due(stream), -1
            for position, received in stream.told:
                assert received == sum(each <= position for each in due)
                # After the first time, it is told only of positions that it does not know from an event.
                assert position > known
                known = position
            for position, received in stream.told[1:]:
                assert not received or position > due[received - 1]

    @invariant()
    def every_run_is_followed(self) -> None:
        for run in self.shared.runs.values():
            assert (run.leader is None) == (run.inbox.subscriber.waiting is run)
            assert run.inbox.subscriber in self.broadcaster.subscribers

    @invariant()
    def the_roles_agree_with_the_runs(self) -> None:
        runs = self.shared.runs.values()
        for stream in self.streams:
            leads = [run for run in runs if run.leader is stream]
            listens = [run for run in runs if stream in run.listeners]
            assert (len(leads), len(listens)) == {
                Role.ALONE: (0, 0),
                Role.LEADING: (1, 0),
                Role.LISTENING: (0, 1),
            }[stream.role]

    @invariant()
    def each_inbox_is_left_by_one_owner(self) -> None:
        for run in self.shared.runs.values():
            assert run.inbox.owner is run

    def teardown(self) -> None:
        try:
            self.settle()
            # The comparison with the database finds lost messages.
            self.broadcaster.subscribers.compare({READER: len(self.log)})
            self.settle()
            # Those that do not read hold up nobody.
            for stream in self.streams:
                assert stream.received == self.due(stream) or not stream.reads
                stream.reads = True
            self.settle()
            for stream in self.streams:
                assert stream.received == self.due(stream)
                assert stream.role is Role.LISTENING
            assert len(self.shared.runs) == len(self.broadcaster.subscribers) == min(1, len(self.streams))
            self.streams_are_told_what_they_have_passed()
            self.settle()
            for stream in self.streams:
                known = [*(position for position, _ in stream.told), *stream.received]
                assert bool(stream.told) is (CAUGHT_UP in self.kinds)
                assert not stream.told or max(known) == len(self.log)
            self.a_stream_is_told_of_each_position_once_and_after_all_events_up_to_it()
            self.loop.run_until_complete(self.publish([self.store(SENDER)]))
            if self.has_to_wait:
                self.settle()
            # Immediately if possible: no other task has run.
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


async def test_the_next_stream_completes_what_an_ended_leader_left_undone():
    sharing = SharedInbox(asyncio.get_running_loop())
    sharing.has_to_wait = True
    first, second = SimulatedStream(sharing, 0), SimulatedStream(sharing, 0)
    await sharing.turns(10)
    assert first.role is second.role is Role.LISTENING
    sharing.broadcaster.publish([sharing.store(SENDER)])
    leading, staying = (first, second) if first.role is Role.LEADING else (second, first)
    for _ in range(10):
        # It has taken the entry but not executed it yet.
        if not leading.sharing.shared.runs["the same"].inbox.subscriber.is_woken:
            break
        await Turn()
    leading.task.cancel()
    await sharing.turns(20)
    assert staying.received == [1]
    staying.task.cancel()
    await asyncio.wait([leading.task, staying.task])
    assert not sharing.shared.runs
    assert not len(sharing.broadcaster.subscribers)


async def test_a_stalled_leader_leaves_the_inbox_to_its_successor():
    sharing = SharedInbox(asyncio.get_running_loop())
    sharing.has_to_wait = True
    streams = SimulatedStream(sharing, 0), SimulatedStream(sharing, 0)
    await sharing.turns(10)
    sharing.broadcaster.publish([sharing.store(SENDER)])
    waiting, following = streams if streams[0].role is Role.LEADING else streams[::-1]
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


async def test_entries_that_are_left_out_cause_no_read_of_the_log():
    sharing = SharedInbox(asyncio.get_running_loop())
    sharing.has_to_wait = True
    stream = SimulatedStream(sharing, 0)
    await sharing.turns(10)
    assert (stream.role, sharing.log_reads) == (Role.LISTENING, 1)
    sharing.broadcaster.publish([sharing.store(READER)])
    sharing.broadcaster.publish([sharing.store(SENDER)])
    await sharing.turns(20)
    assert (stream.received, sharing.log_reads) == ([2], 1)
    stream.task.cancel()
    await asyncio.wait([stream.task])


async def test_a_stream_behind_the_leader_misses_nothing_when_it_joins():
    sharing = SharedInbox(asyncio.get_running_loop())
    behind = SimulatedStream(sharing, 0)
    await sharing.turns(10)
    for _ in range(2):
        sharing.store(SENDER)
    ahead = SimulatedStream(sharing, 1)
    await sharing.turns(10)
    assert ahead.received == [2]
    behind.reads = False
    sharing.broadcaster.subscribers.wake(READER)
    while sharing.shared.runs["the same"].leader is not ahead:
        await Turn()
    # It has not caught up again yet.
    behind.reads = True
    await sharing.turns(20)
    assert behind.received == [1, 2]
    for stream in (behind, ahead):
        stream.task.cancel()
    await asyncio.wait([behind.task, ahead.task])


SharedInbox.TestCase.settings = settings(max_examples=1_000, stateful_step_count=40, deadline=None)
TestSharedInbox = SharedInbox.TestCase
