"""Measures subjects in turns, so that other load on the machine affects all of them alike."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.answers import AnswersDiffer, check_same_answers
from bench.comparisons import Comparison
from bench.measuring import Job, Measured
from bench.processes import DidNotStart, WorkerFailed
from bench.subjects import NOWHERE, Stage, Subject


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison's rounds, by subject; the same index is the same round."""

    name: str
    rounds: Mapping[str, Sequence[Measured]]


def measure_in_turns(
    stage: Stage,
    comparisons: Sequence[Comparison],
    rounds: int,
    warm_up: Callable[[Subject], Sequence[Job]],
    tell: Callable[[str], None],
) -> tuple[Sequence[Compared], WorkerFailed | DidNotStart | None]:
    """Measure every subject of every comparison once a round, one subject right after the other.

    Returns what was measured up to the first failure, and that failure. Every round starts its subjects
    afresh and warms them up. Only one of them is under load at a time. Every second round uses the reverse
    order.

    Raises:
        AnswersDiffer: The subjects of a comparison answer its question differently.
    """
    measured: dict[str, dict[str, list[Measured]]] = {
        each.name: {name: [] for name in each.subjects} for each in comparisons
    }

    def measure(comparison: Comparison, name: str, subject: Subject) -> None:
        tell(f"{number + 1} of {rounds}: {comparison.name}: {name}")
        try:
            measured[comparison.name][name].append(subject.worker.do(comparison.job(name, subject)))
        except WorkerFailed as error:
            error.add_note(f"while this was measured: {comparison.name}: {name}")
            raise

    failure: WorkerFailed | DidNotStart | None = None
    try:
        together = [each for each in comparisons if not each.alone]
        for number in range(rounds):
            with _running(stage, together, warm_up, tell) as subjects:
                if number == 0:
                    _check_answers(together, subjects)
                for comparison in together:
                    for name in _in_turn(comparison.subjects, number):
                        measure(comparison, name, subjects[name])
        for comparison in comparisons:
            for number in range(min(comparison.alone, rounds)):
                for name in _in_turn(comparison.subjects, number):
                    tell(f"starting {name}")
                    with stage.running(name) as subject:
                        if not comparison.cold:
                            _warm_up(subject, warm_up)
                        measure(comparison, name, subject)
    except (WorkerFailed, DidNotStart) as error:
        failure = error
    return list(_in_whole_rounds(measured)), failure


def _check_answers(comparisons: Sequence[Comparison], subjects: Mapping[str, Subject]) -> None:
    for comparison in comparisons:
        if (question := comparison.question) is None:
            continue
        servers = {name: subjects[name] for name in comparison.subjects if subjects[name].address != NOWHERE}
        try:
            check_same_answers({name: (server.address, question(server)) for name, server in servers.items()})
        except AnswersDiffer as error:
            error.add_note(f"while checking {comparison.name}")
            raise


def _in_whole_rounds(measured: Mapping[str, Mapping[str, Sequence[Measured]]]) -> Iterator[Compared]:
    for name, of_subjects in measured.items():
        whole = min(len(rounds) for rounds in of_subjects.values())
        if whole:
            yield Compared(name, {subject: rounds[:whole] for subject, rounds in of_subjects.items()})


@contextmanager
def _running(
    stage: Stage,
    comparisons: Sequence[Comparison],
    warm_up: Callable[[Subject], Sequence[Job]],
    tell: Callable[[str], None],
) -> Generator[Mapping[str, Subject]]:
    """Start all subjects of the comparisons; end them when the block ends."""
    with ExitStack() as stack:
        subjects: dict[str, Subject] = {}
        for name in dict.fromkeys(name for each in comparisons for name in each.subjects):
            tell(f"starting {name}")
            subject = subjects[name] = stack.enter_context(stage.running(name))
            _warm_up(subject, warm_up)
        yield subjects


def _warm_up(subject: Subject, warm_up: Callable[[Subject], Sequence[Job]]) -> None:
    for job in warm_up(subject):
        subject.worker.do(job)


def _in_turn(names: Sequence[str], number: int) -> Sequence[str]:
    return names if number % 2 == 0 else names[::-1]
