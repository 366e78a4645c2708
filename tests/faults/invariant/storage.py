"""Everything that was acknowledged is stored once, and as it was acknowledged."""

from collections.abc import Iterable
from uuid import UUID

from tests.faults.history import History
from tests.faults.invariant.breaches import Breach, Violation
from tests.faults.operations import Changed, Deleted, Opened, Read, Renamed, Sent
from tests.faults.truth import Truth


def of_storage(truth: Truth, history: History) -> Iterable[Violation]:
    """Yield what is stored otherwise than it was acknowledged."""
    yield from _of_copies(truth, history)
    yield from _of_sent(truth, history)
    yield from _of_changes(truth, history)
    yield from _of_read_marks(truth, history)
    yield from _of_names(truth, history)
    yield from _of_pairs(history)
    yield from (Violation(Breach.MISCOUNTED, str(wrong)) for wrong in truth.miscounted)


def _of_copies(truth: Truth, history: History) -> Iterable[Violation]:
    by_content: dict[str, set[UUID]] = {}
    for stored in truth.messages.values():
        by_content.setdefault(stored.state.content, set()).add(stored.id)
    for sent in history.of(Sent):
        # A message that has been changed since is known by its ID.
        found = by_content.get(sent.content, set()) | ({sent.message_id} & truth.messages.keys())
        if len(found) > 1:
            yield Violation(Breach.STORED_TWICE, sent.content)


def _of_sent(truth: Truth, history: History) -> Iterable[Violation]:
    before: dict[tuple[str, UUID], int] = {}
    for sent in history.lasting(Sent):
        stored = truth.message(sent.message_id)
        if stored is None:
            yield Violation(Breach.LOST, sent.content)
            continue
        if (stored.talk_id, stored.author_id) != (sent.talk.id, sent.account.user_id):
            yield Violation(Breach.CROSSED, sent.content)
        # A sender waits for each acknowledgement, so their messages are stored in the order of sending.
        place = (sent.sender, sent.talk.id)
        if stored.seq <= before.get(place, 0):
            yield Violation(Breach.OUT_OF_TURN, sent.content)
        before[place] = stored.seq


def _of_changes(truth: Truth, history: History) -> Iterable[Violation]:
    for change in history.lasting(Changed):
        stored = truth.message(change.message_id)
        if stored is None or change.result is None:
            continue
        if stored.state.version < change.result.version:
            yield Violation(Breach.LOST, f"{change.result}")
        if isinstance(change, Deleted) and not stored.state.is_deleted:
            yield Violation(Breach.LOST, f"the deletion of {stored}")


def _of_read_marks(truth: Truth, history: History) -> Iterable[Violation]:
    for read in history.lasting(Read):
        stored = truth.message(read.up_to.message_id)
        part = truth.parts.get((read.up_to.talk.id, read.account.user_id))
        if stored is not None and part is not None and part.read_seq < stored.seq:
            yield Violation(Breach.MOVED_BACK, f"{part} of {read.account.user_id}, who has read {stored}")


def _of_names(truth: Truth, history: History) -> Iterable[Violation]:
    names: dict[UUID, set[str]] = {}
    for renamed in history.of(Renamed):
        names.setdefault(renamed.account.user_id, set()).add(renamed.username)
    for user_id in {renamed.account.user_id for renamed in history.lasting(Renamed)}:
        name = truth.names[user_id]
        if name is not None and name not in names[user_id]:
            yield Violation(Breach.LOST, f"the new name of {name}")


def _of_pairs(history: History) -> Iterable[Violation]:
    opened: dict[frozenset[UUID], set[UUID | None]] = {}
    for each in history.lasting(Opened):
        opened.setdefault(each.pair, set()).add(each.conversation_id)
    for pair, found in opened.items():
        if len(found) > 1:
            yield Violation(Breach.STORED_TWICE, f"the conversation of {set(pair)}")
