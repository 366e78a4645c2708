"""The database goes back to an earlier state under open streams: each ends, or has missed nothing."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db.entries import InboxEntry
from realtime.sharing import Role
from tests.support.simulated_streams import READER, SENDER, SimulatedStream, Simulation


def numbers_due(log: Sequence[InboxEntry], after: int) -> list[int]:
    """Return the numbers of the messages after the position that are not the reader's."""
    return [entry.subject_id.int for entry in log[after:] if entry.actor_id != READER]


class InboxOfALosingDatabase(Simulation, RuleBasedStateMachine):
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
        stream = SimulatedStream(self, max(0, len(self.log) - back))
        self.streams.append(stream)
        self.opened_in[stream] = len(self.histories)

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
