"""Each device sees each entry that it asked for once, in order, in its current state, and ends up to date.

Of several entries of one kind about the same thing, it may see only the last one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from db.entries import MESSAGE_CREATED, OF_MESSAGES, READ_MARK_MOVED, USER_UPDATED
from tests.faults.devices import EVERY_KIND, Device, Seen, Subscription
from tests.faults.history import History
from tests.faults.invariant.breaches import Breach, Violation
from tests.faults.operations import State
from tests.faults.truth import Entry, Truth

# What is read for an event may be a second old, and another one until the event has been executed.
_OLD_SECONDS = 2


@dataclass(frozen=True)
class View:
    """What a device has received by some moment, after the position `since`."""

    user_id: UUID
    subscription: Subscription
    since: int
    received: Sequence[Seen]

    @classmethod
    def of(cls, device: Device) -> "View":
        return cls(device.account.user_id, device.subscription, device.since, list(device.received))

    def asks_for(self, entry: Entry) -> bool:
        is_own = entry.actor_id == self.user_id
        return entry.kind in self.subscription.kinds and (self.subscription.include_mine or not is_own)


def of_device(truth: Truth, history: History, view: View) -> Iterable[Violation]:
    """Yield what a device has seen wrongly, or not yet."""
    inbox = truth.inboxes[view.user_id]
    expected = {at: entry for at, entry in inbox if at > view.since and view.asks_for(entry)}
    matching: list[Seen] = []
    for seen in view.received:
        if _is_of(seen, expected.get(seen.position)):
            matching.append(seen)
        else:
            yield Violation(Breach.PHANTOM, str(seen))
    missed = list(_missed(expected, matching))
    yield from missed
    yield from _of_order(view, matching)
    yield from _of_versions(inbox, history, matching)
    yield from _of_marks(truth, matching)
    is_up_to_date = not missed and view.subscription.kinds == EVERY_KIND
    # What was seen of transactions that are lost remains until it changes again.
    if is_up_to_date and not history.losses:
        yield from _of_snapshot(truth, view, matching)


def _is_of(seen: Seen, entry: Entry | None) -> bool:
    if entry is None or (seen.kind, seen.subject_id) != (entry.kind, entry.subject_id):
        return False
    return seen.conversation_id in (None, entry.conversation_id)


def _missed(expected: Mapping[int, Entry], matching: Iterable[Seen]) -> Iterable[Violation]:
    last: dict[tuple[int, UUID, UUID | None], int] = {}
    positions = {seen.position for seen in matching}
    for position in positions:
        thing = _thing(expected[position])
        last[thing] = max(position, last.get(thing, 0))
    for position, entry in expected.items():
        if position not in positions and last.get(_thing(entry), 0) < position:
            yield Violation(Breach.MISSED, f"{entry} at {position}")


def _thing(entry: Entry) -> tuple[int, UUID, UUID | None]:
    return entry.kind, entry.subject_id, entry.conversation_id


def _of_order(view: View, matching: Iterable[Seen]) -> Iterable[Violation]:
    counts = Counter(seen.position for seen in matching)
    for position, times in counts.items():
        if times > 1:
            yield Violation(Breach.REPEATED, f"{position}, {times} times")
    # In the order of the first occurrence, so that each violation counts once.
    if list(counts) != sorted(counts):
        yield Violation(Breach.DISORDER, f"of {len(counts)} in {view.user_id}")


def _of_versions(
    inbox: Iterable[tuple[int, Entry]], history: History, matching: Iterable[Seen]
) -> Iterable[Violation]:
    """Yield events with a message in a version before their entry's, or before one known long before."""
    versions: dict[UUID, int] = {}
    at: dict[int, int] = {}
    for position, entry in inbox:
        if entry.kind in OF_MESSAGES:
            versions[entry.subject_id] = at[position] = versions.get(entry.subject_id, 0) + 1
    known = history.versions()
    for seen in matching:
        if seen.message is None or seen.subject_id is None:
            continue
        must_have = [
            version
            for moment, version in known.get(seen.subject_id, [])
            if moment < seen.connected_at - _OLD_SECONDS
        ]
        if seen.message.version < max(at[seen.position], *must_have, 1):
            yield Violation(Breach.OLD_STATE, f"{seen}, of {at[seen.position]} and {must_have}")


def _of_marks(truth: Truth, matching: Iterable[Seen]) -> Iterable[Violation]:
    marks: dict[tuple[UUID | None, UUID | None], int] = {}
    for seen in matching:
        stored = truth.message(seen.last_read)
        if stored is not None:
            place = (seen.conversation_id, seen.subject_id)
            if stored.seq < marks.get(place, 0):
                yield Violation(Breach.MOVED_BACK, f"{seen}, {stored.seq} after {marks[place]}")
            marks[place] = stored.seq


@dataclass
class _Snapshot:
    """What a client knows that keeps everything by its ID, and writes what events say."""

    messages: dict[UUID, State]
    marks: dict[tuple[UUID, UUID], int]
    names: dict[UUID, str | None]
    unread: dict[UUID, int]


def _snapshot(truth: Truth, matching: Iterable[Seen]) -> _Snapshot:
    known = _Snapshot({}, {}, {}, {})
    for seen in matching:
        if seen.subject_id is None:
            continue
        if seen.message is not None:
            before = known.messages.get(seen.subject_id)
            if before is None or before.version <= seen.message.version:
                known.messages[seen.subject_id] = seen.message
        elif seen.kind == USER_UPDATED:
            known.names[seen.subject_id] = seen.username
        # Sending a message moves its author's mark.
        stored = truth.message(seen.last_read if seen.kind == READ_MARK_MOVED else seen.subject_id)
        if stored is not None and seen.kind in (READ_MARK_MOVED, MESSAGE_CREATED):
            reader = seen.subject_id if seen.kind == READ_MARK_MOVED else stored.author_id
            place = (stored.talk_id, reader)
            known.marks[place] = max(stored.seq, known.marks.get(place, 0))
        if seen.conversation_id is not None and seen.unread_count is not None:
            known.unread[seen.conversation_id] = seen.unread_count
    return known


def _of_snapshot(truth: Truth, view: View, matching: Iterable[Seen]) -> Iterable[Violation]:
    known = _snapshot(truth, matching)
    for message_id, state in known.messages.items():
        if truth.messages[message_id].state != state:
            yield Violation(Breach.DIFFERENT, f"{state}, now {truth.messages[message_id]}")
    for user_id, name in known.names.items():
        if truth.names[user_id] != name:
            yield Violation(Breach.DIFFERENT, f"the name {name}, now {truth.names[user_id]}")
    for (talk_id, user_id), seq in known.marks.items():
        part = truth.parts[talk_id, user_id]
        is_told = view.subscription.include_mine or user_id != view.user_id
        if is_told and part.read_seq != seq:
            yield Violation(Breach.DIFFERENT, f"{user_id} in {talk_id} has read {seq}, now {part}")
    if view.subscription.include_mine:
        for talk_id, count in known.unread.items():
            part = truth.parts[talk_id, view.user_id]
            if part.unread_count != count:
                yield Violation(Breach.DIFFERENT, f"{count} unread in {talk_id}, now {part}")
