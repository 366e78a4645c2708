"""Whatever happens to hints, a subscriber sees exactly the log."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db.entries import InboxEntry, InboxPage
from db.records import Message
from realtime.broadcaster import Broadcaster
from realtime.follower import follow
from realtime.hints import Hint
from realtime.subscribers import Subscribers

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
        page = self.log[after : after + limit]
        await Turn()
        return InboxPage(page, after + len(page), is_end=len(page) < limit)

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
        page = log[after : after + limit]
        return InboxPage(page, after + len(page), is_end=len(page) < limit)

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
        return InboxPage(entries, max(after, 9), is_end=True)

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
        assert reached == [subscriber.position] == [9]
        # The inbox check has no reason to wake the reader, and the next entry is delivered from its hint.
        broadcaster.subscribers.compare({READER: 9})
        assert not subscriber.is_woken
        broadcaster.publish([Hint(READER, entry(10))])
        async with asyncio.timeout(5):
            assert (await following).position == 10
