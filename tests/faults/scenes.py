"""The scenes: each fault, which must keep the invariant; its twins and planted bugs, which must break it.

A twin is the same fault with one protection removed, which proves that the fault has an effect.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tests.faults import faults
from tests.faults.faults import NO_CHECKS, Fault
from tests.faults.invariant import Breach
from tests.faults.operations import Deleted, Edited, Read, Sent
from tests.faults.rounds import Conduct, Outcome

# If nothing announces a message, a device waits forever, so the test need not wait long.
_IMPATIENT = Conduct(patience_seconds=3.5)


@dataclass(frozen=True)
class Scene:
    """A fault, and how it breaks the invariant: in at least one of these ways, or not at all."""

    name: str
    fault: Fault
    expected: Set[Breach] = frozenset()
    conduct: Conduct = _IMPATIENT

    def is_as_expected(self, outcome: Outcome) -> bool:
        """Return whether the outcome was as expected."""
        return bool(outcome.breaches & self.expected) if self.expected else not outcome.violations


def _without(fault: Fault, *sabotage: str, checks: bool = True) -> Fault:
    settings = fault.settings if checks else {**fault.settings, **NO_CHECKS}
    return replace(fault, sabotage=(*fault.sabotage, *sabotage), settings=settings)


_NO_CURSORS = replace(_IMPATIENT, devices_keep_cursors=False)
_NO_KEYS = replace(_IMPATIENT, senders_have_keys=False)
_MESSAGES_ONLY = replace(_IMPATIENT, mix={Sent: 1})
# What the planted bug is in happens often.
_EDITING = replace(_IMPATIENT, blows=4, mix={Sent: 2, Edited: 1})
# Sending a message corrects the counts of its author.
_DELETING = replace(_IMPATIENT, blows=4, mix={Sent: 1, Deleted: 4})
_READING = replace(_IMPATIENT, blows=4, mix={Sent: 2, Read: 1})
_PATIENT = replace(_IMPATIENT, patience_seconds=5)
# Only one blow, because after it the servers may have found each other by another route.
_APART = replace(_PATIENT, apart=True, blows=1)
_MISSED = {Breach.MISSED}

ENDURED: Sequence[Scene] = [Scene(fault.name, fault, conduct=Conduct()) for fault in faults.FAULTS]

TWINS: Sequence[Scene] = (
    Scene("servers killed, devices without cursors", faults.KILLED, _MISSED, _NO_CURSORS),
    Scene("servers rolled, saying complete", _without(faults.ROLLED, "complete_on_shutdown"), _MISSED),
    Scene(
        "PostgreSQL restarted, no stream woken afterwards",
        _without(faults.RESTARTED, "stay_deaf", checks=False),
        _MISSED,
        _APART,
    ),
    Scene(
        "PostgreSQL crashed, commits not on disk",
        _without(faults.CRASHED, "commit_without_disk"),
        {Breach.LOST, Breach.PHANTOM},
    ),
    Scene(
        "connections terminated, no stream woken afterwards",
        _without(faults.TERMINATED, "stay_deaf", checks=False),
        _MISSED,
        _APART,
    ),
    Scene(
        "NATS nodes killed, no stream woken afterwards",
        _without(faults.NATS_KILLED, "stay_deaf", checks=False),
        _MISSED,
        _APART,
    ),
    Scene("NATS nodes parted, no checks", _without(faults.NATS_PARTED, checks=False), _MISSED, _APART),
    Scene(
        "peers lost, no stream woken afterwards",
        _without(faults.PEERS_LOST, "stay_deaf"),
        _MISSED,
        _APART,
    ),
    Scene("clients cut, no idempotency keys", faults.CUT, {Breach.STORED_TWICE}, _NO_KEYS),
    Scene("clients cut, devices without cursors", faults.CUT, _MISSED, _NO_CURSORS),
    Scene(
        "hints doubled, every hint passed on", _without(faults.DOUBLED, "pass_every_hint"), {Breach.REPEATED}
    ),
    Scene(
        "hints reordered, every hint passed on",
        _without(faults.REORDERED, "pass_every_hint"),
        {Breach.DISORDER, Breach.REPEATED},
    ),
    Scene("buffers overflowing silently", _without(faults.OVERFLOWING, "overflow_silently"), _MISSED),
    Scene(
        "clocks apart, inboxes in the order of ids",
        _without(faults.CLOCKS, "order_by_id"),
        {Breach.DISORDER, Breach.REPEATED, Breach.MISSED},
        _MESSAGES_ONLY,
    ),
    Scene(
        "PostgreSQL put back under open streams, places not compared",
        _without(faults.PUT_BACK_UNDER_STREAMS, "compare_no_places"),
        {Breach.MISSED, Breach.PHANTOM},
    ),
    Scene(
        "PostgreSQL put back, cursors not compared",
        _without(faults.PUT_BACK, "compare_no_tags"),
        {Breach.MISSED, Breach.PHANTOM},
    ),
)

PLANTED: Sequence[Scene] = (
    # What is stored instead of the event that was announced is missed.
    Scene(
        "publish before commit",
        _without(faults.TERMINATED, "publish_before_commit"),
        {Breach.PHANTOM, Breach.MISSED},
    ),
    Scene("answer before commit", _without(faults.TERMINATED, "answer_before_commit"), {Breach.LOST}),
    Scene("read before attach", _without(faults.CUT, "read_before_attach"), _MISSED, _PATIENT),
    Scene(
        "position without the lock",
        _without(faults.CALM, "position_without_lock"),
        {Breach.MISSED, Breach.DISORDER, Breach.HOLES},
    ),
    Scene("duplicate on resume", _without(faults.CUT, "resume_one_early"), {Breach.REPEATED}),
    Scene(
        "an outage ends the server",
        _without(faults.TERMINATED, "know_few_errors"),
        {Breach.DIED},
    ),
    Scene("last entry of a page merged away", _without(faults.CUT, "merge_away_the_last"), _MISSED),
    Scene(
        "message appended after it was acknowledged",
        _without(faults.CALM, "append_late"),
        {Breach.EDIT_FIRST},
        _EDITING,
    ),
    Scene("event with the old text", _without(faults.CALM, "keep_messages"), {Breach.OLD_STATE}, _EDITING),
    Scene(
        "read mark that moves back", _without(faults.CALM, "move_marks_back"), {Breach.MOVED_BACK}, _READING
    ),
    Scene(
        "deletion that does not count",
        _without(faults.CALM, "delete_without_counting"),
        {Breach.MISCOUNTED},
        _DELETING,
    ),
    Scene(
        "removal announced in a transaction before",
        _without(faults.CALM, "announce_removals"),
        {Breach.DIFFERENT},
    ),
    Scene("hint dropped with no check", _without(faults.DROPPED, checks=False), _MISSED),
)

SCENES: Mapping[str, Scene] = {scene.name: scene for scene in (*ENDURED, *TWINS, *PLANTED)}
