"""A comparison with an earlier revision says what has become better or worse."""

from collections.abc import Sequence

import pytest

from bench.changes import change, changes
from bench.measuring import PER_SECOND, Measured
from bench.rounds import Compared
from bench.subjects import EARLIER, MESSENGER


def measured(rate: float, cpu: float) -> Measured:
    return Measured({PER_SECOND: rate}, {"subject": cpu, "PostgreSQL": 0.5, "others": 0.0})


@pytest.mark.parametrize(
    ("ratios", "more_is_better", "expected"),
    [
        ([0.95, 0.96, 0.97, 0.94], True, "worse by 4.5%"),
        ([0.95, 0.96, 0.97, 0.94], False, "better by 4.5%"),
        ([1.02, 1.01, 1.03, 1.02], True, "better by 2.0%"),
        ([1.02, 1.01, 1.03, 1.02], False, "worse by 2.0%"),
        ([1.02] * 9 + [0.99], True, "better by 2.0%"),
        ([1.02] * 8 + [0.99] * 2, True, ""),
        ([1.0] * 4, True, ""),
        ([0.5, 0.5, 0.5], True, "too few rounds"),
    ],
)
def test_a_change_is_clear_if_most_rounds_agree(ratios: Sequence[float], more_is_better: bool, expected: str):
    assert change(ratios, more_is_better=more_is_better) == expected


def test_rates_and_their_cpu_time_are_compared():
    ours, theirs = [measured(110, 1.0)] * 4, [measured(100, 1.0)] * 4
    text = changes([Compared("pages", {MESSENGER: ours, EARLIER: theirs})])
    [_, _, rate, cpu] = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert rate == ["pages", PER_SECOND, "1.1 (1.1 to 1.1)", "better by 10.0%"]
    assert cpu == ["", "CPU for each", "0.91 (0.91 to 0.91)", "better by 9.1%"]


def test_other_runs_have_no_changes():
    assert changes([Compared("pages", {MESSENGER: [measured(1, 1)], "peer": [measured(1, 1)]})]) == ""
