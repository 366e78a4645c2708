"""The same faults with a protection taken off, and planted bugs: each must break the invariant."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from tests.faults import faults
from tests.faults.faults import NO_CHECKS, Fault
from tests.faults.invariant import Breach
from tests.faults.rounds import Conduct

# Where nothing comes to tell of a message, a device waits for ever: no need to wait with it for long.
_IMPATIENT = Conduct(patience_seconds=4)


@dataclass(frozen=True)
class Twin:
    """A fault with something missing that it needs, and how the invariant is broken then."""

    name: str
    fault: Fault
    expected: Set[Breach]
    """At least one of these is found."""
    conduct: Conduct = _IMPATIENT


def _without(fault: Fault, *sabotage: str, checks: bool = True) -> Fault:
    settings = fault.settings if checks else {**fault.settings, **NO_CHECKS}
    return replace(fault, sabotage=(*fault.sabotage, *sabotage), settings=settings)


_NO_CURSORS = replace(_IMPATIENT, devices_keep_cursors=False)
_NO_KEYS = replace(_IMPATIENT, senders_have_keys=False)
_MISSED = {Breach.MISSED}

TWINS: Sequence[Twin] = (
    Twin("servers killed, devices without cursors", faults.KILLED, _MISSED, _NO_CURSORS),
    Twin("servers rolled, saying complete", _without(faults.ROLLED, "complete_on_shutdown"), _MISSED),
    Twin(
        "PostgreSQL restarted, nobody woken afterwards",
        _without(faults.RESTARTED, "stay_deaf", checks=False),
        _MISSED,
    ),
    Twin(
        "PostgreSQL crashed, commits not on disk",
        _without(faults.CRASHED, "commit_without_disk"),
        {Breach.LOST, Breach.PHANTOM},
    ),
    Twin(
        "connections terminated, nobody woken afterwards",
        _without(faults.TERMINATED, "stay_deaf", checks=False),
        _MISSED,
    ),
    Twin(
        "NATS nodes killed, nobody woken afterwards",
        _without(faults.NATS_KILLED, "stay_deaf", checks=False),
        _MISSED,
    ),
    Twin("NATS nodes parted, no checks", _without(faults.NATS_PARTED, checks=False), _MISSED),
    Twin("clients cut, no idempotency keys", faults.CUT, {Breach.STORED_TWICE}, _NO_KEYS),
    Twin("clients cut, devices without cursors", faults.CUT, _MISSED, _NO_CURSORS),
    Twin("hints doubled, every hint passed on", _without(faults.DOUBLED, "pass_every_hint"), {Breach.REPEATED}),
    Twin(
        "hints reordered, every hint passed on",
        _without(faults.REORDERED, "pass_every_hint"),
        {Breach.DISORDER, Breach.REPEATED},
    ),
    Twin("buffers overflowing silently", _without(faults.OVERFLOWING, "overflow_silently"), _MISSED),
    Twin(
        "clocks apart, inboxes in the order of ids",
        _without(faults.CLOCKS, "order_by_id"),
        {Breach.DISORDER, Breach.REPEATED, Breach.MISSED},
    ),
)

PLANTED: Sequence[Twin] = (
    Twin(
        "publish before commit", _without(faults.TERMINATED, "publish_before_commit"), {Breach.PHANTOM}
    ),
    Twin("answer before commit", _without(faults.TERMINATED, "answer_before_commit"), {Breach.LOST}),
    Twin("read before attach", _without(faults.CUT, "read_before_attach", checks=False), _MISSED),
    Twin(
        "position without the lock",
        _without(faults.CALM, "position_without_lock"),
        {Breach.MISSED, Breach.DISORDER, Breach.HOLES},
    ),
    Twin("duplicate on resume", _without(faults.CUT, "resume_one_early"), {Breach.REPEATED}),
    Twin("hint dropped with no check", _without(faults.DROPPED, checks=False), _MISSED),
)
