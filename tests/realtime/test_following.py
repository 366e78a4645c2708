"""Whatever happens to hints, a subscriber sees exactly the log."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db.entries import InboxEntry, InboxPage, Standing
from db.records import Message
from realtime.broadcaster import Broadcaster
from realtime.follower import FRESH_SECONDS, follow
from realtime.hints import Hint
from realtime.subscribers import Subscribers
from tests.support.entries import EPOCH, message_of, page_of

READER = UUID(int=1)


def entry(position: int) -> InboxEntry:
    return InboxEntry.of_message(
        position, Message(UUID(int=position), READER, position, READER, "hello", datetime.now(UTC))
    )


class Turn:
    """Awaiting it runs every other task once."""

    def __await__(self):
        yield


class FollowedInbox(RuleBasedStateMachine):
    """Messages with hints that are lost, duplicated, reordered or too many, and readers that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.broadcaster = Broadcaster(Subscribers(backlog=3))
        self.log: list[InboxEntry] = []
        self.under_way: list[Hint] = []
        self.seen: list[InboxEntry] = []
        self.reading: asyncio.Task[None] | None = None

    async def read(self, *, after: int, limit: int) -> InboxPage:
        await Turn()
        page = page_of(self.log, after, limit)
        await Turn()
        return page

    async def listen(self) -> None:
        async with AsyncExitStack() as stack:
            subscriber = await stack.enter_async_context(self.broadcaster.subscribe(READER))
            entries = follow(self.read, subscriber, after=len(self.seen), page_size=2)
            await stack.enter_async_context(aclosing(entries))
            async for received in entries:
                self.seen.append(received)
                await Turn()

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await Turn()

    @initialize(already=st.integers(0, 5))
    def starts(self, already: int) -> None:
        self.log = [entry(position) for position in range(1, already + 1)]
        self.the_reader_reconnects()

    @rule(arrives=st.booleans())
    def a_message_is_sent(self, arrives: bool) -> None:
        """The hint arrives now, or later in any order and number, or never."""
        self.log.append(entry(len(self.log) + 1))
        hint = Hint(READER, self.log[-1])
        if arrives:
            self.broadcaster.publish([hint])
        else:
            self.under_way.append(hint)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def hints_arrive(self, data: st.DataObject) -> None:
        hints = data.draw(st.lists(st.sampled_from(self.under_way), min_size=1, max_size=8))
        self.broadcaster.publish(hints)

    @rule(count=st.integers(1, 20))
    def time_passes(self, count: int) -> None:
        self.loop.run_until_complete(self.turns(count))

    @rule()
    def the_reader_reconnects(self) -> None:
        self.the_reader_disconnects()
        self.reading = self.loop.create_task(self.listen())

    @rule()
    def the_reader_disconnects(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
            self.loop.run_until_complete(asyncio.wait([self.reading]))
            self.reading = None
        assert len(self.broadcaster.subscribers) == 0

    @invariant()
    def what_was_seen_is_the_start_of_the_log(self) -> None:
        assert self.seen == self.log[: len(self.seen)]

    def teardown(self) -> None:
        try:
            self.the_reader_reconnects()
            self.loop.run_until_complete(self.turns(5 * len(self.log) + 20))
            assert self.seen == self.log
            # Every hint may have been lost; reading the log again must be enough.
            self.log.append(entry(len(self.log) + 1))
            self.broadcaster.subscribers.wake(READER)
            self.loop.run_until_complete(self.turns(20))
            assert self.seen == self.log
        finally:
            self.the_reader_disconnects()
            self.loop.close()


TestFollowedInbox = FollowedInbox.TestCase
TestFollowedInbox.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


async def test_a_full_buffer_sends_the_reader_back_to_the_log():
    broadcaster = Broadcaster(Subscribers(backlog=3))
    log = [entry(position) for position in range(1, 11)]

    async def read(*, after: int, limit: int) -> InboxPage:
        return page_of(log, after, limit)

    async with (
        broadcaster.subscribe(READER) as subscriber,
        aclosing(follow(read, subscriber, after=6)) as entries,
    ):
        assert [(await anext(entries)).position for _ in range(4)] == [7, 8, 9, 10]
        log += [entry(position) for position in range(11, 15)]
        broadcaster.publish([Hint(READER, missed) for missed in log[10:]])
        async with asyncio.timeout(5):
            assert [(await anext(entries)).position for _ in range(4)] == [11, 12, 13, 14]


async def test_a_reader_skips_entries_with_deleted_messages():
    broadcaster = Broadcaster(Subscribers())
    reached: list[int] = []

    async def read(*, after: int, limit: int) -> InboxPage:
        entries = [entry(position) for position in range(after + 1, 4)]
        return InboxPage(
            entries,
            max(after, 9),
            None,
            is_end=True,
            looked_at=len(entries),
            standing=Standing(EPOCH, 9, None),
        )

    async with (
        broadcaster.subscribe(READER) as subscriber,
        aclosing(
            follow(read, subscriber, after=2, caught_up=lambda position: reached.append(position) or False)
        ) as entries,
    ):
        assert (await anext(entries)).position == 3
        following = asyncio.ensure_future(anext(entries))
        async with asyncio.timeout(5):
            while not reached:
                await Turn()
        assert subscriber.place is not None
        assert reached == [subscriber.place.position] == [9]
        # The inbox check has no reason to wake the reader, and the next entry is delivered from its hint.
        broadcaster.subscribers.compare(EPOCH, {READER: 9})
        assert not subscriber.is_woken
        broadcaster.publish([Hint(READER, entry(10))])
        async with asyncio.timeout(5):
            assert (await following).position == 10


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_left_of_a_page_is_read_again_when_it_is_no_longer_fresh():
    """So that a client that is slow gets a message as it is when it is delivered, and no more is read."""
    clock, limits = Clock(), list[tuple[int, int]]()
    log = [entry(position) for position in range(1, 41)]

    async def read(*, after: int, limit: int) -> InboxPage:
        limits.append((after, limit))
        return page_of(log, after, limit)

    broadcaster = Broadcaster()
    async with (
        broadcaster.subscribe(READER) as subscriber,
        aclosing(follow(read, subscriber, after=0, page_size=10, clock=clock)) as entries,
    ):
        received = [await anext(entries) for _ in range(3)]
        clock.now += FRESH_SECONDS + 0.1
        log[3] = log[3]._replace(message=message_of(log[3])._replace(content="edited"))
        received.append(await anext(entries))
        assert message_of(received[-1]).content == "edited"
        # As many at a time as it has taken, and more once it takes them all.
        received += [await anext(entries) for _ in range(9)]
        assert [each.position for each in received] == list(range(1, 14))
        assert limits == [(0, 10), (3, 3), (6, 6), (12, 10)]


async def test_a_reader_that_takes_one_entry_a_minute_reads_each_once():
    clock, limits = Clock(), list[int]()
    log = [entry(position) for position in range(1, 9)]

    async def read(*, after: int, limit: int) -> InboxPage:
        limits.append(limit)
        return page_of(log, after, limit)

    async with (
        Broadcaster().subscribe(READER) as subscriber,
        aclosing(follow(read, subscriber, after=0, clock=clock)) as entries,
    ):
        for position in range(1, 9):
            assert (await anext(entries)).position == position
            clock.now += 60
    assert limits[0] == 100
    assert max(limits[1:]) <= 2


@pytest.mark.parametrize("kind", ["without its message", "with an old message"])
async def test_a_hint_whose_message_may_have_changed_sends_the_reader_to_the_log(kind: str):
    clock = Clock()
    log = [entry(1)._replace(message=message_of(entry(1))._replace(content="edited"))]

    async def read(*, after: int, limit: int) -> InboxPage:
        return page_of(log, after, limit)

    broadcaster = Broadcaster()
    async with (
        broadcaster.subscribe(READER) as subscriber,
        aclosing(follow(read, subscriber, after=0, from_log=False, clock=clock)) as entries,
    ):
        hinted = entry(1)._replace(message=None) if kind == "without its message" else entry(1)
        broadcaster.publish([Hint(READER, hinted, read_at=clock())])
        clock.now += FRESH_SECONDS + 0.1
        async with asyncio.timeout(5):
            assert message_of(await anext(entries)).content == "edited"


async def test_an_unwanted_hint_is_passed_without_reading_the_log():
    async def read(*, after: int, limit: int) -> InboxPage:
        raise AssertionError("nothing has to be read")

    broadcaster = Broadcaster()
    async with (
        broadcaster.subscribe(READER) as subscriber,
        aclosing(
            follow(read, subscriber, after=0, from_log=False, wants=lambda each: each.position == 3)
        ) as entries,
    ):
        broadcaster.publish([Hint(READER, entry(position)) for position in (1, 2, 3)])
        async with asyncio.timeout(5):
            assert (await anext(entries)).position == 3
