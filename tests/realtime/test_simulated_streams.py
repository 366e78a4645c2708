"""Simulated streams that really share events: whatever happens, each gets everything once."""

import asyncio
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from db.entries import CAUGHT_UP
from realtime.sharing import Role
from tests.support.entries import EPOCH
from tests.support.simulated_streams import READER, SENDER, SimulatedStream, SimulationMachine, Turn


class SharedInbox(SimulationMachine):
    """Streams start and end, stall, lead and listen; hints are lost, duplicated and reordered."""

    def due(self, stream: SimulatedStream) -> list[int]:
        return [entry.position for entry in self.log[stream.start :] if entry.actor_id != READER]

    @initialize(has_to_wait=st.booleans(), reports=st.booleans())
    def events_can_be_executed_at_once_or_not(self, has_to_wait: bool, reports: bool) -> None:
        self.has_to_wait = has_to_wait
        if reports:
            self.kinds |= {CAUGHT_UP}

    @rule(author=st.sampled_from([READER, SENDER]), arrives=st.booleans())
    def a_message_is_stored(self, author: UUID, arrives: bool) -> None:
        hint = self.store(author)
        if arrives:
            self.loop.run_until_complete(self.publish([hint]))
        else:
            self.under_way.append(hint)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def hints_arrive(self, data: st.DataObject) -> None:
        hints = data.draw(st.lists(st.sampled_from(self.under_way), min_size=1, max_size=8))
        self.loop.run_until_complete(self.publish(hints))

    @rule()
    def the_broadcaster_may_have_missed_something(self) -> None:
        self.broadcaster.subscribers.wake(READER)

    @invariant()
    def received_events_are_in_order_and_unique(self) -> None:
        for stream in self.streams:
            assert stream.received == self.due(stream)[: len(stream.received)]

    @rule()
    def what_streams_have_passed_is_reported(self) -> None:
        for run in list(self.shared.runs.values()):
            run.report_place()

    @invariant()
    def each_position_is_reported_to_a_stream_once_and_after_all_events_up_to_it(self) -> None:
        for stream in self.streams:
            due, known = self.due(stream), -1
            for position, received in stream.reported:
                assert received == sum(each <= position for each in due)
                # After the first time, only positions are reported that it does not know from an event.
                assert position > known
                known = position
            for position, received in stream.reported[1:]:
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
            self.broadcaster.subscribers.compare(EPOCH, {READER: len(self.log)})
            self.settle()
            # Streams that do not read delay no other stream.
            for stream in self.streams:
                assert stream.received == self.due(stream) or not stream.reads
                stream.reads = True
            self.settle()
            for stream in self.streams:
                assert stream.received == self.due(stream)
                assert stream.role is Role.LISTENING
            assert len(self.shared.runs) == len(self.broadcaster.subscribers) == min(1, len(self.streams))
            self.what_streams_have_passed_is_reported()
            self.settle()
            for stream in self.streams:
                known = [*(position for position, _ in stream.reported), *stream.received]
                assert bool(stream.reported) is (CAUGHT_UP in self.kinds)
                assert not stream.reported or max(known) == len(self.log)
            self.each_position_is_reported_to_a_stream_once_and_after_all_events_up_to_it()
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
        if not leading.simulation.shared.runs["the same"].inbox.subscriber.is_woken:
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
