"""Inboxes have no holes, agree with each other, and have one entry for each thing that happened."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from uuid import UUID

from db.entries import MESSAGE_CREATED, MESSAGE_DELETED, MESSAGE_UPDATED, USER_UPDATED
from tests.faults.invariant.breaches import Breach, Violation
from tests.faults.truth import Entry, Truth

_CHANGES = (MESSAGE_UPDATED, MESSAGE_DELETED)


def of_inboxes(truth: Truth) -> Iterable[Violation]:
    """Yield what is wrong with the inboxes of users who have not been removed."""
    for user_id, inbox in truth.inboxes.items():
        positions = [position for position, _ in inbox]
        if positions != list(range(1, truth.ends[user_id] + 1)):
            yield Violation(Breach.HOLES, f"{user_id}: {positions} up to {truth.ends[user_id]}")
        yield from _of_order(user_id, [entry for _, entry in inbox])
    for talk_id, people in truth.talks().items():
        present = [user_id for user_id in people if user_id in truth.inboxes]
        yield from _alike(truth, present, f"in {talk_id}", _is_in(talk_id))
        for user_id in present[:1]:
            yield from _of_talk(truth, talk_id, user_id)
    # All users share a conversation that has a message, so all of them hear of each other.
    for user_id in truth.names:
        yield from _alike(truth, list(truth.inboxes), f"about {user_id}", _is_about(user_id))


def _is_in(talk_id: UUID) -> Callable[[Entry], bool]:
    return lambda entry: entry.conversation_id == talk_id


def _is_about(user_id: UUID) -> Callable[[Entry], bool]:
    return lambda entry: entry.kind == USER_UPDATED and entry.subject_id == user_id


def _of_order(user_id: UUID, entries: Sequence[Entry]) -> Iterable[Violation]:
    created: set[UUID] = set()
    for entry in entries:
        if entry.kind == MESSAGE_CREATED:
            created.add(entry.subject_id)
        elif entry.kind in _CHANGES and entry.subject_id not in created:
            yield Violation(Breach.EDIT_FIRST, f"{entry} of {user_id}")


def _alike(
    truth: Truth, people: Sequence[UUID], where: str, concerns: Callable[[Entry], bool]
) -> Iterable[Violation]:
    """Yield whose inbox has other entries of these, or in another order, than that of the first one."""
    found = [[entry for _, entry in truth.inboxes[user_id] if concerns(entry)] for user_id in people]
    for user_id, entries in zip(people, found, strict=True):
        if entries != found[0]:
            pairs = zip_longest(found[0], entries)
            first, other = next((one, other) for one, other in pairs if one != other)
            yield Violation(Breach.HOLES, f"{where}, {people[0]} has {first} where {user_id} has {other}")


def _of_talk(truth: Truth, talk_id: UUID, user_id: UUID) -> Iterable[Violation]:
    entries = [entry for _, entry in truth.inboxes[user_id] if entry.conversation_id == talk_id]
    created = [entry.subject_id for entry in entries if entry.kind == MESSAGE_CREATED]
    here = [stored for stored in truth.messages.values() if stored.talk_id == talk_id]
    if created != [stored.id for stored in here]:
        yield Violation(Breach.HOLES, f"{user_id} in {talk_id}: not every message once")
    changes = Counter(entry.subject_id for entry in entries if entry.kind in _CHANGES)
    for stored in here:
        if changes[stored.id] != stored.state.version - 1:
            yield Violation(Breach.HOLES, f"{user_id}: {changes[stored.id]} changes of {stored}")
