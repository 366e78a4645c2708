"""Targets compare the medians of figures."""

from collections.abc import Mapping, Sequence

import pytest

from bench.comparisons import Scale, comparisons
from bench.measuring import Measured, Span
from bench.targets import TARGETS, Target
from tests.bench.stand_ins import POPULATION

BACK = Target("streams", "s until caught up", "peer", 0.9, less=True, against_unit="s until back")


def rounds(ours: Sequence[float], theirs: Sequence[float]) -> Mapping[str, Sequence[Measured]]:
    return {
        "messenger": [Measured({"s until caught up": each}, {}) for each in ours],
        "peer": [Measured({"s until back": each}, {}) for each in theirs],
    }


@pytest.mark.parametrize(
    ("ours", "verdict"), [([4.5, 9.0, 0.1], "reached: 0.90"), ([4.6, 4.6, 0.1], "not reached: 0.92 of 0.9")]
)
def test_figures_with_other_units_are_compared(ours: Sequence[float], verdict: str):
    assert BACK.verdict(rounds(ours, [5.0, 5.0, 5.0])) == verdict


def test_a_target_without_figures_is_not_measured():
    assert BACK.verdict({"messenger": [Measured({}, {})], "peer": []}) == "not measured"


def test_every_target_is_of_two_subjects_of_a_comparison():
    names = {each.name: each.subjects for each in comparisons(POPULATION, Scale(Span(0, 1)))}
    for target in TARGETS:
        assert {target.subject, target.against} <= set(names[target.comparison]), target
