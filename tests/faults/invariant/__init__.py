"""The invariant: what was acknowledged has happened once, and every device sees it once, in order.

What was not acknowledged has happened once or not at all, and is seen accordingly. Nothing else is stored or
seen. A device that has applied its events knows what a device knows that fetches everything now.
"""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from tests.faults.history import History
from tests.faults.invariant.breaches import Breach, Violation
from tests.faults.invariant.devices import View, of_device
from tests.faults.invariant.inboxes import of_inboxes
from tests.faults.invariant.storage import of_storage
from tests.faults.operations import Changed, State
from tests.faults.truth import Truth

__all__ = ["Breach", "View", "Violation", "violations"]


def violations(truth: Truth, history: History, views: Sequence[View]) -> list[Violation]:
    """Return every violation in what the devices had seen before the truth was read.

    The views are those of devices whose users have not been removed.
    """
    return [
        *of_storage(truth, history),
        *of_inboxes(truth),
        *(breach for view in views for breach in of_device(truth, history, view)),
        *([] if history.losses else _of_texts(truth, history, views)),
    ]


def _of_texts(truth: Truth, history: History, views: Iterable[View]) -> Iterable[Violation]:
    """Yield messages of which two texts are known for one version, or one text for two versions."""
    texts: dict[tuple[UUID, int], State] = {}
    versions: dict[tuple[UUID, str], int] = {}
    for message_id, state in _states(truth, history, views):
        other = texts.setdefault((message_id, state.version), state)
        if other != state:
            yield Violation(Breach.TWO_TEXTS, f"{other} and {state}")
        if (
            not state.is_deleted
            and versions.setdefault((message_id, state.content), state.version) != state.version
        ):
            yield Violation(Breach.STORED_TWICE, f"an edit, {state}")


def _states(truth: Truth, history: History, views: Iterable[View]) -> Iterator[tuple[UUID, State]]:
    """Yield every state in which a message has been stored, acknowledged or seen."""
    for stored in truth.messages.values():
        yield stored.id, stored.state
    for change in history.lasting(Changed):
        if change.result is not None:
            yield change.message_id, change.result
    for view in views:
        for seen in view.received:
            if seen.message is not None and seen.subject_id is not None:
                yield seen.subject_id, seen.message
