"""What has become better or worse since an earlier revision."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from bench.measuring import PER_SECOND, Measured
from bench.replay import ENTRIES
from bench.report import chosen_rounds
from bench.rounds import Compared
from bench.subjects import EARLIER, MESSENGER
from bench.tables import markdown, ratio, with_range
from bench.targets import ratios_of

_HEAD = ("what", "figure", "messenger to the earlier revision (range)", "change")
_CPU_EACH = "CPU for each"
# For these, more is better. For all others, less.
_RATES = frozenset({PER_SECOND, ENTRIES})
# A change counts if this share of the rounds, and at least this many, agree. That is rarely chance.
_CLEAR = 0.9
_ENOUGH_ROUNDS = 4


def changes(compared: Sequence[Compared]) -> str:
    """Return how each figure has changed as a Markdown table; empty if no earlier revision was measured."""
    of_both = [each for each in compared if EARLIER in each.rounds]
    return markdown(_HEAD, [row for each in of_both for row in _rows(each)]) if of_both else ""


def change(ratios: Sequence[float], *, more_is_better: bool) -> str:
    """Return whether most rounds agree that a figure is better or worse than in the earlier revision."""
    if len(ratios) < _ENOUGH_ROUNDS:
        return "too few rounds"
    more = sum(each > 1 for each in ratios) / len(ratios)
    less = sum(each < 1 for each in ratios) / len(ratios)
    if max(more, less) < _CLEAR:
        return ""
    percent = abs(median(ratios) - 1)
    return f"{'better' if (more > less) == more_is_better else 'worse'} by {percent:.1%}"


def _rows(compared: Compared) -> Iterator[tuple[str, ...]]:
    what = compared.name
    rounds = {subject: [_with_cpu_each(one) for one in of] for subject, of in chosen_rounds(compared).items()}
    for unit in dict.fromkeys(unit for one in rounds[MESSENGER] for unit in one.figures):
        ratios = list(ratios_of(rounds, unit, MESSENGER, EARLIER))
        if ratios:
            yield what, unit, with_range(ratios, ratio), change(ratios, more_is_better=unit in _RATES)
            what = ""


def _with_cpu_each(one: Measured) -> Measured:
    """Add the subject's CPU time for each message, event or page to the figures."""
    if PER_SECOND not in one.figures:
        return one
    figures: Mapping[str, float] = {**one.figures, _CPU_EACH: one.cpu["subject"] / one.figures[PER_SECOND]}
    return Measured(figures, one.cpu)
