"""The database goes back to an earlier state under open streams: each ends, or has missed nothing."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from db.entries import InboxEntry
from realtime.sharing import Role
from tests.support.entries import EPOCH
from tests.support.simulated_streams import READER, SENDER, SimulatedStream, Simulation, SimulationMachine


def numbers_due(log: Sequence[InboxEntry], after: int) -> list[int]:
    """Return the numbers of the messages after the position that are not the reader's."""
    return [entry.subject_id.int for entry in log[after:] if entry.actor_id != READER]


class InboxOfALosingDatabase(SimulationMachine):
    """The log loses its last entries, and others take their positions.

    Messages are numbered from 1 on over all of that. A process learns of a loss by its connections, or it
    goes on without noticing while hints arrive in order.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop)
        self.stored = 0
        self.histories: list[Sequence[InboxEntry]] = []
        # What a stream that has not ended may have received: the history at its opening, or a later one.
        self.opened_in: dict[SimulatedStream, int] = {}
        self.is_noticed = True

    @initialize(has_to_wait=st.booleans())
    def events_can_be_executed_at_once_or_not(self, has_to_wait: bool) -> None:
        self.has_to_wait = has_to_wait

    @rule(author=st.sampled_from([READER, SENDER]), arrives=st.booleans())
    def a_message_is_stored(self, author: UUID, arrives: bool) -> None:
        self.stored += 1
        hint = self.store(author, self.stored)
        if arrives or not self.is_noticed:
            self.loop.run_until_complete(self.publish([hint]))

    @precondition(lambda self: self.log)
    @rule(count=st.integers(1, 4), is_noticed=st.booleans(), renews_epoch=st.booleans())
    def the_last_entries_are_lost(self, count: int, is_noticed: bool, renews_epoch: bool) -> None:
        self.histories.append(list(self.log))
        del self.log[-count:]
        if renews_epoch:
            self.epoch = UUID(int=len(self.histories))
        self.is_noticed = is_noticed
        if is_noticed:
            self.broadcaster.subscribers.doubt()

    @rule(turns=st.integers(0, 3))
    def places_are_verified(self, turns: int) -> None:
        subscribers = self.broadcaster.subscribers
        doubts, places = subscribers.doubts, subscribers.places()
        standings = [self.standing(place.position) for _, place in places]
        self.loop.run_until_complete(self.turns(turns))
        subscribers.settle(
            doubts,
            ((each, place, found) for (each, place), found in zip(places, standings, strict=True)),
        )
        self.is_noticed = True

    @rule()
    def inboxes_are_compared(self) -> None:
        self.broadcaster.subscribers.compare(self.epoch, {READER: len(self.log)})

    @rule(back=st.integers(0, 3))
    def a_stream_opens(self, back: int) -> None:
        super().a_stream_opens(back)
        self.opened_in[self.streams[-1]] = len(self.histories)

    @invariant()
    def what_was_received_was_the_start_of_the_log_at_some_time(self) -> None:
        for stream in self.streams:
            logs = [*self.histories, self.log][self.opened_in[stream] :]
            received = stream.received
            assert any(numbers_due(log, stream.start)[: len(received)] == received for log in logs)

    def teardown(self) -> None:
        try:
            self.inboxes_are_compared()
            self.places_are_verified(0)
            for stream in self.streams:
                stream.reads = True
            self.settle()
            self.a_message_is_stored(SENDER, arrives=True)
            self.settle()
            for stream in self.streams:
                assert stream.is_expired or stream.role is Role.LISTENING
                assert stream.is_expired or stream.received == numbers_due(self.log, stream.start)
        finally:
            for stream in self.streams:
                self.end(stream)
            self.loop.close()
        assert not self.shared.runs
        assert not len(self.broadcaster.subscribers)


InboxOfALosingDatabase.TestCase.settings = settings(max_examples=500, stateful_step_count=40, deadline=None)
TestInboxOfALosingDatabase = InboxOfALosingDatabase.TestCase


@asynccontextmanager
async def simulated(*, messages: int) -> AsyncGenerator[Simulation]:
    """An inbox with messages of the sender, and without streams."""
    simulation = Simulation(asyncio.get_running_loop())
    for _ in range(messages):
        simulation.store(SENDER)
    yield simulation
    for stream in simulation.streams:
        stream.task.cancel()
    await asyncio.wait([stream.task for stream in simulation.streams])


async def opens(simulation: Simulation, after: int) -> SimulatedStream:
    """Open a stream, which then catches up."""
    stream = SimulatedStream(simulation, after)
    simulation.streams.append(stream)
    await simulation.turns(20)
    return stream


async def sends(simulation: Simulation, *numbers: int, author: UUID = SENDER) -> None:
    for number in numbers:
        simulation.broadcaster.publish([simulation.store(author, number)])
    await simulation.turns(20)


def verify(simulation: Simulation) -> int:
    subscribers = simulation.broadcaster.subscribers
    places = subscribers.places()
    found = [(each, place, simulation.standing(place.position)) for each, place in places]
    return subscribers.settle(subscribers.doubts, found)


async def test_a_stream_whose_last_entry_was_replaced_without_a_hint_is_found_when_places_are_verified():
    async with simulated(messages=2) as simulation:
        lost, kept = await opens(simulation, 0), await opens(simulation, 0)
        del simulation.log[-1]
        simulation.broadcaster.subscribers.doubt()
        simulation.store(SENDER, 12)
        assert verify(simulation) == 1
        await sends(simulation, 13)
        assert (lost.is_expired, lost.received) == (kept.is_expired, kept.received) == (True, [1, 2])


async def test_places_that_the_database_still_has_are_trusted_again():
    async with simulated(messages=2) as simulation:
        stream = await opens(simulation, 0)
        simulation.broadcaster.subscribers.doubt()
        assert verify(simulation) == 0
        reads = simulation.log_reads
        await sends(simulation, 3)
        assert (stream.received, simulation.log_reads) == ([1, 2, 3], reads)


async def test_a_doubt_that_comes_during_a_verification_remains():
    async with simulated(messages=1) as simulation:
        await opens(simulation, 0)
        subscribers = simulation.broadcaster.subscribers
        subscribers.doubt()
        doubts = subscribers.doubts
        subscribers.doubt()
        subscribers.settle(doubts, [])
        assert subscribers.is_in_doubt


async def test_a_new_epoch_ends_streams_when_inboxes_are_compared():
    async with simulated(messages=1) as simulation:
        stream = await opens(simulation, 0)
        simulation.broadcaster.subscribers.compare(EPOCH, {READER: 1})
        await simulation.turns(20)
        assert not stream.is_expired
        simulation.epoch = UUID(int=5)
        simulation.broadcaster.subscribers.compare(simulation.epoch, {READER: 1})
        await simulation.turns(20)
        assert stream.is_expired


async def test_an_inbox_that_has_become_shorter_ends_streams_when_inboxes_are_compared():
    async with simulated(messages=2) as simulation:
        stream = await opens(simulation, 0)
        del simulation.log[-1]
        simulation.broadcaster.subscribers.compare(EPOCH, {READER: 1})
        await simulation.turns(20)
        assert stream.is_expired


@pytest.mark.parametrize("have_been_read", [False, True])
async def test_entries_that_wait_for_a_slow_client_are_read_again_when_there_is_doubt(have_been_read: bool):
    async with simulated(messages=0) as simulation:
        stream = await opens(simulation, 0)
        stream.reads = False
        if have_been_read:
            await sends(simulation, 1, 2)
        else:
            await sends(simulation, 1)
            await sends(simulation, 2)
        assert stream.role is Role.ALONE
        del simulation.log[-1]
        simulation.broadcaster.subscribers.doubt()
        simulation.store(SENDER, 12)
        assert verify(simulation) == have_been_read
        stream.reads = True
        await simulation.turns(20)
        await sends(simulation, 13)
        if have_been_read:
            assert (stream.is_expired, stream.received) == (True, [1, 2])
        else:
            assert (stream.is_expired, stream.received) == (False, [1, 12, 13])


async def test_a_hint_that_contradicts_what_a_slow_client_has_received_ends_its_stream():
    async with simulated(messages=0) as simulation:
        stream = await opens(simulation, 0)
        stream.reads = False
        await sends(simulation, 1)
        assert stream.role is Role.ALONE
        simulation.log.clear()
        await sends(simulation, 11, 12)
        stream.reads = True
        await simulation.turns(20)
        assert (stream.is_expired, stream.received) == (True, [1])


async def test_the_place_of_a_stream_that_is_ahead_of_those_it_shares_with_is_verified():
    async with simulated(messages=1) as simulation:
        behind = await opens(simulation, 1)
        for _ in range(2):
            simulation.store(SENDER)
        ahead = await opens(simulation, 1)
        assert (ahead.role, behind.place.position, ahead.received) == (Role.LISTENING, 1, [2, 3])
        del simulation.log[-2:]
        simulation.broadcaster.subscribers.doubt()
        verify(simulation)
        await sends(simulation, 12)
        await sends(simulation, 13, author=READER)
        await sends(simulation, 14)
        assert (ahead.is_expired, ahead.received) == (True, [2, 3])


async def test_a_stream_that_is_ahead_ends_if_another_event_comes_in_the_place_of_its_last():
    async with simulated(messages=1) as simulation:
        behind = await opens(simulation, 1)
        simulation.store(SENDER)
        ahead = await opens(simulation, 1)
        assert (ahead.role, ahead.received) == (Role.LISTENING, [2])
        del simulation.log[-1]
        await sends(simulation, 12, 13)
        assert (behind.is_expired, behind.received) == (False, [12, 13])
        assert (ahead.is_expired, ahead.received) == (True, [2])
