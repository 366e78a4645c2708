"""Sabotage: the product with one of its parts broken or delayed on purpose, selected by name.

`python -m tests.faults.sabotage NAME... -- serve` runs `messenger serve` with the named parts broken in its
own process. The product does not know about it.
"""

import random
from collections.abc import Iterable

from tests.faults.sabotage import (
    attaching,
    changing,
    clocks,
    events,
    following,
    framing,
    hints,
    outages,
    streams,
    writing,
)

_BY_NAME = {
    break_it.__name__: break_it
    for break_it in (
        attaching.read_before_attach,
        changing.delete_without_counting,
        changing.move_marks_back,
        changing.announce_removals,
        clocks.set_clock,
        clocks.order_by_id,
        events.merge_away_the_last,
        events.keep_messages,
        following.pass_every_hint,
        following.resume_one_early,
        following.compare_no_tags,
        following.compare_no_places,
        framing.accept_upgrades,
        hints.lose_peers,
        hints.drop_hints,
        hints.double_hints,
        hints.reorder_hints,
        hints.fill_buffers,
        hints.overflow_silently,
        outages.stay_deaf,
        outages.know_few_errors,
        streams.complete_on_shutdown,
        writing.publish_before_commit,
        writing.answer_before_commit,
        writing.append_late,
        writing.position_without_lock,
        writing.commit_without_disk,
    )
}


def sabotage(names: Iterable[str], *, number: int = 0, seed: int = 0) -> None:
    """Break the named parts in the process of the server with this number."""
    random.seed(seed)
    for name in names:
        _BY_NAME[name](number)
