"""The performance targets, and whether a run meets them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.idle import memory_each
from bench.load import percentile
from bench.measuring import PER_SECOND, Measured
from bench.subjects import MERCURIUS, MESSENGER, SQL, TWO_WORKERS, YOGA

Rounds = Mapping[str, Sequence[Measured]]


@dataclass(frozen=True, slots=True)
class Target:
    """A target for a figure of the messenger: `factor` times that of another subject.

    It is a minimum for rates, and a maximum if `less` is better. With `or_limit`, the target is also met if
    the messenger reaches that fraction of the SQL alone.
    """

    comparison: str
    unit: str
    against: str
    factor: float
    less: bool = False
    subject: str = MESSENGER
    or_limit: float | None = None

    def verdict(self, rounds: Rounds) -> str:
        """Return whether the rounds of this comparison meet the target."""
        ratio = median_ratio(rounds, self.unit, self.subject, self.against)
        if ratio is None:
            return "not measured"
        if ratio <= self.factor if self.less else ratio >= self.factor:
            return f"reached: {ratio:.2f}"
        if self.or_limit is not None:
            limit = median_ratio(rounds, self.unit, self.subject, SQL)
            if limit is not None and limit >= self.or_limit:
                return f"reached: {ratio:.2f}, and {limit:.2f} of what the SQL alone does"
        return f"not reached: {ratio:.2f} of {self.factor:g}"


TARGETS: Sequence[Target] = (
    Target("createMessage, 16 callers", PER_SECOND, YOGA, 2.0),
    Target("createMessage, 16 callers", PER_SECOND, MERCURIUS, 1.0),
    Target("createMessage, 16 callers", PER_SECOND, SQL, 0.5),
    Target("page of 25 of 1,000 conversations", PER_SECOND, YOGA, 1.5, or_limit=0.9),
    Target("deliveries, 1,000 streams of one user", PER_SECOND, YOGA, 4.0),
    Target("createMessage and delivery, 1,000 users", PER_SECOND, YOGA, 3.0),
    Target("send to receive, 1,000 users", percentile(99, 200), YOGA, 0.2, less=True),
    Target("10,000 idle streams, then all cut at once", memory_each(10_000), YOGA, 0.5, less=True),
    Target("two workers: createMessage, 64 callers", PER_SECOND, MESSENGER, 1.7, subject=TWO_WORKERS),
    Target("two workers: createMessage and delivery", PER_SECOND, MESSENGER, 1.7, subject=TWO_WORKERS),
)


def median_ratio(rounds: Rounds, unit: str, one: str, other: str) -> float | None:
    """Return the median of the rounds' ratios, or None without any."""
    ratios = list(ratios_of(rounds, unit, one, other))
    return median(ratios) if ratios else None


def ratios_of(rounds: Rounds, unit: str, one: str, other: str) -> Iterator[float]:
    """Yield each round's ratio of one subject's figure to the other's, for rounds that have both."""
    for mine, theirs in zip(rounds.get(one, ()), rounds.get(other, ()), strict=False):
        if unit in mine.figures and theirs.figures.get(unit):
            yield mine.figures[unit] / theirs.figures[unit]
