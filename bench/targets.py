"""The performance targets, and whether a run meets them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.idle import CAUGHT_UP, RECONNECTED, memory_each
from bench.load import percentile
from bench.measuring import PER_SECOND, Measured
from bench.subjects import BARE_ASGI, GRAFAST, MERCURIUS, MESSENGER, SQL, TWO_WORKERS, YOGA

Rounds = Mapping[str, Sequence[Measured]]


@dataclass(frozen=True, slots=True)
class Target:
    """A target for a figure of the messenger: `factor` times that of another subject.

    It is a minimum for rates, and a maximum if `less` is better. `against_unit` is the unit of the other
    subject's figure, if it is a different one.
    """

    comparison: str
    unit: str
    against: str
    factor: float
    less: bool = False
    subject: str = MESSENGER
    against_unit: str | None = None

    def verdict(self, rounds: Rounds) -> str:
        """Return whether the rounds of this comparison meet the target."""
        ratio = median_ratio(rounds, self.unit, self.subject, self.against, self.against_unit)
        if ratio is None:
            return "not measured"
        if ratio <= self.factor if self.less else ratio >= self.factor:
            return f"reached: {ratio:.2f}"
        return f"not reached: {ratio:.2f} of {self.factor:g}"


_CONVERSATIONS = "page of 25 of 1,000 conversations"
_MESSAGES = "page of 25 of 1,000 messages"
_DELIVERED = "createMessage and delivery, 1,000 users"
_IDLE = "10,000 idle streams, then all cut at once"

TARGETS: Sequence[Target] = (
    Target(_MESSAGES, PER_SECOND, MERCURIUS, 1.0),
    Target(_MESSAGES, PER_SECOND, GRAFAST, 1.0),
    Target(_CONVERSATIONS, PER_SECOND, MERCURIUS, 1.2),
    Target(_CONVERSATIONS, PER_SECOND, GRAFAST, 1.0),
    Target("createMessage, 16 callers", PER_SECOND, YOGA, 2.0),
    Target("createMessage, 16 callers", PER_SECOND, MERCURIUS, 1.0),
    Target("createMessage, 16 callers", PER_SECOND, SQL, 0.5),
    Target("createMessage, 64 callers", PER_SECOND, MERCURIUS, 1.0),
    Target("deliveries, 1,000 streams of one user", PER_SECOND, YOGA, 4.0),
    Target(_DELIVERED, PER_SECOND, YOGA, 3.0),
    Target("send to receive, 1,000 users", percentile(99, 200), YOGA, 0.2, less=True),
    Target(_IDLE, memory_each(10_000), BARE_ASGI, 1.5, less=True),
    # The messenger also catches up, which graphql-yoga cannot.
    Target(_IDLE, CAUGHT_UP, YOGA, 0.9, less=True, against_unit=RECONNECTED),
    Target("two workers: createMessage, 64 callers", PER_SECOND, MESSENGER, 1.7, subject=TWO_WORKERS),
    Target("two workers: createMessage and delivery", PER_SECOND, MESSENGER, 1.7, subject=TWO_WORKERS),
)


def median_ratio(
    rounds: Rounds, unit: str, one: str, other: str, other_unit: str | None = None
) -> float | None:
    """Return the median of the rounds' ratios, or None without any."""
    ratios = list(ratios_of(rounds, unit, one, other, other_unit))
    return median(ratios) if ratios else None


def ratios_of(
    rounds: Rounds, unit: str, one: str, other: str, other_unit: str | None = None
) -> Iterator[float]:
    """Yield each round's ratio of one subject's figure to the other's, for rounds that have both."""
    their_unit = other_unit or unit
    for mine, theirs in zip(rounds.get(one, ()), rounds.get(other, ()), strict=False):
        if unit in mine.figures and theirs.figures.get(their_unit):
            yield mine.figures[unit] / theirs.figures[their_unit]
