"""Measuring in turns, so that whatever else the machine does meets all subjects alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.comparisons import Comparison
from bench.measuring import Measured


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison's rounds, by subject; the same index is the same round."""

    name: str
    rounds: Mapping[str, Sequence[Measured]]


def measure_in_turns(
    comparisons: Sequence[Comparison], rounds: int, tell: Callable[[str], None]
) -> Sequence[Compared]:
    """Measure every subject of every comparison once a round, those of a comparison one after the other.

    Every second round goes the other way round.
    """
    measured: dict[str, dict[str, list[Measured]]] = {
        each.name: {name: [] for name in each.subjects} for each in comparisons
    }
    for number in range(rounds):
        for comparison in comparisons:
            tell(f"round {number + 1} of {rounds}: {comparison.name}")
            names = list(comparison.subjects)
            for name in names if number % 2 == 0 else reversed(names):
                subject = comparison.subjects[name]
                measured[comparison.name][name].append(subject.worker.do(subject.job))
    return [Compared(name, of_subjects) for name, of_subjects in measured.items()]
