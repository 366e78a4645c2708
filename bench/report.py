"""What a run found: a table to read, and JSON to keep."""

import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median

import psutil

from bench.comparisons import FLOOR
from bench.cores import Cores
from bench.measuring import PER_SECOND, Measured, Span
from bench.processes import CHECKOUT
from bench.rounds import Compared

_HEAD = ("what", "quiet rounds", "of", "median (range)", "ratio (range)", "CPU for each", "cores busy")

# What other programs may take of the machine, in cores, while a round is measured that counts.
_QUIET_CORES = 0.2


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    made_at: datetime
    seconds: float
    span: Span
    cores: Cores
    compared: Sequence[Compared]


def table(run: Run) -> str:
    """Return the run's medians, lowest and highest rounds and ratios as a Markdown table.

    Only quiet rounds count, where a comparison has any.
    """
    rows = [row for compared in run.compared for row in _rows(compared)]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    lines = [_HEAD, tuple("-" * width for width in widths), *rows]
    return "\n".join(_line(cells, widths) for cells in lines)


def as_json(run: Run) -> dict[str, object]:
    """Return everything that was measured, round by round."""
    return {
        "made_at": run.made_at.astimezone(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "pinning": str(run.cores),
        "seconds": round(run.seconds, 1),
        "span": asdict(run.span),
        "comparisons": [
            {
                "name": compared.name,
                "rounds": {name: [asdict(each) for each in of] for name, of in compared.rounds.items()},
            }
            for compared in run.compared
        ],
    }


def _rows(compared: Compared) -> Iterator[tuple[str, ...]]:
    quiet = _quiet_rounds(compared)
    of_all = len(compared.rounds[FLOOR])
    # Without a quiet one, all are better than nothing.
    chosen = quiet or range(of_all)
    what, how_quiet = compared.name, f"{len(quiet)} of {of_all}"
    floors = [compared.rounds[FLOOR][number] for number in chosen]
    for unit in floors[0].figures:
        for subject, all_rounds in compared.rounds.items():
            rounds = [all_rounds[number] for number in chosen]
            figures = [each.figures[unit] for each in rounds]
            ratios = [figure / floor.figures[unit] for figure, floor in zip(figures, floors, strict=True)]
            yield (
                what,
                how_quiet,
                subject,
                f"{_middle(figures, _figure)} {unit}",
                "1" if subject == FLOOR else _middle(ratios, _ratio),
                _cpu_each(rounds) if unit == PER_SECOND else "",
                _cpu(rounds),
            )
            what = how_quiet = ""


def _quiet_rounds(compared: Compared) -> Sequence[int]:
    """Return the rounds that no other program has disturbed; whatever they gave, they count."""
    return [
        number
        for number, subjects in enumerate(zip(*compared.rounds.values(), strict=True))
        if all(each.cpu["others"] <= _QUIET_CORES for each in subjects)
    ]


def _middle(values: Sequence[float], show: Callable[[float], str]) -> str:
    if len(values) == 1:
        return show(values[0])
    return f"{show(median(values))} ({show(min(values))} to {show(max(values))})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2g}" if value < 1 else _figure(value)


def _cpu_each(rounds: Sequence[Measured]) -> str:
    each = median(one.cpu["subject"] / one.figures[PER_SECOND] for one in rounds)
    return f"{_figure(each * 1e6)} µs"


def _cpu(rounds: Sequence[Measured]) -> str:
    return ", ".join(f"{name} {median(each.cpu[name] for each in rounds):.2f}" for name in rounds[0].cpu)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _revision() -> str | None:
    """Return the commit that was measured, marked where the checkout has changes; None outside of Git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
