"""The results of a run: tables to read, and JSON to keep."""

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

import psutil

from bench.cores import Cores
from bench.measuring import PER_SECOND, Measured, Span
from bench.processes import CHECKOUT
from bench.revisions import Revision
from bench.rounds import Compared
from bench.subjects import MESSENGER, PEERS_FOLDER, node_program
from bench.tables import figure, markdown, ratio, with_range
from bench.targets import TARGETS, Rounds, Target, ratios_of

_HEAD = (
    "what",
    "quiet rounds",
    "of",
    "median (range)",
    "messenger to it (range)",
    "CPU for each",
    "load's CPU for each",
    "cores busy",
    "at its limit",
)
_TARGETS_HEAD = ("to reach", "of", "against", "factor", "came to", "at its limit")

# A round counts as quiet if other programs used at most this many cores of the machine.
_QUIET_CORES = 0.2
# A process that uses this much of its core is at its limit.
_BUSY_CORES = 0.9


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    made_at: datetime
    seconds: float
    span: Span
    cores: Cores
    compared: Sequence[Compared]
    earlier: Revision | None = None


def table(run: Run) -> str:
    """Return the medians, extremes and ratios of the run as a Markdown table.

    Only quiet rounds count, if a comparison has any.
    """
    return markdown(_HEAD, [row for compared in run.compared for row in _rows(compared, run.cores)])


def targets(run: Run) -> str:
    """Return the targets and whether they were met as a Markdown table; empty if no target was measured."""
    compared_by_name = {compared.name: compared for compared in run.compared}
    rows = [
        _target_row(target, compared, run.cores)
        for target in TARGETS
        if (compared := compared_by_name.get(target.comparison)) and target.against in compared.rounds
    ]
    return markdown(_TARGETS_HEAD, rows) if rows else ""


def _target_row(target: Target, compared: Compared, cores: Cores) -> tuple[str, ...]:
    rounds = chosen_rounds(compared)
    noisy = "" if _quiet_rounds(compared) else " (no quiet round)"
    return (
        target.comparison,
        f"{target.subject}, {target.unit}",
        ", ".join(filter(None, (target.against, target.against_unit))),
        f"at most {target.factor:g}" if target.less else f"at least {target.factor:g}",
        target.verdict(rounds) + noisy,
        _limit(rounds[target.subject], cores),
    )


def as_json(run: Run) -> dict[str, object]:
    """Return everything that was measured, round by round."""
    return {
        "made_at": run.made_at.astimezone(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "against": run.earlier.commit if run.earlier else None,
        "python": platform.python_version(),
        "node": _node_version(),
        "versions": _versions(),
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


def _rows(compared: Compared, cores: Cores) -> Iterator[tuple[str, ...]]:
    quiet, rounds = _quiet_rounds(compared), chosen_rounds(compared)
    what, how_quiet = compared.name, f"{len(quiet)} of {len(next(iter(compared.rounds.values())))}"
    units = dict.fromkeys(unit for of in rounds.values() for each in of for unit in each.figures)
    for unit in units:
        for subject, of_subject in rounds.items():
            figures = [each.figures[unit] for each in of_subject if unit in each.figures]
            if not figures:
                continue
            ratios = list(ratios_of(rounds, unit, MESSENGER, subject))
            is_first = unit == next(iter(of_subject[0].figures))
            yield (
                what,
                how_quiet,
                subject,
                f"{with_range(figures, figure)} {unit}",
                "" if subject == MESSENGER or not ratios else with_range(ratios, ratio),
                _cpu_each(of_subject, "subject") if unit == PER_SECOND else "",
                _cpu_each(of_subject, "load") if unit == PER_SECOND else "",
                # All figures of a job were measured over the same time.
                _cpu(of_subject) if is_first else "",
                _limit(of_subject, cores) if is_first else "",
            )
            what = how_quiet = ""


def chosen_rounds(compared: Compared) -> Rounds:
    """Return the quiet rounds, or all rounds if none was quiet."""
    quiet = _quiet_rounds(compared)
    if not quiet:
        return compared.rounds
    return {subject: [rounds[number] for number in quiet] for subject, rounds in compared.rounds.items()}


def _quiet_rounds(compared: Compared) -> Sequence[int]:
    """Return the rounds that no other program disturbed, whatever their results."""
    return [
        number
        for number, subjects in enumerate(zip(*compared.rounds.values(), strict=True))
        if all(each.cpu["others"] <= _QUIET_CORES for each in subjects)
    ]


def _limit(rounds: Sequence[Measured], cores: Cores) -> str:
    """Return the processes that were at their limit; empty if all waited for a disk or a clock."""
    busy = {name: median(each.cpu[name] for each in rounds) for name in rounds[0].cpu}
    at_limit = [name for name in ("subject", "load", "PostgreSQL") if busy.get(name, 0) >= _BUSY_CORES]
    together = busy.get("load", 0) + busy["PostgreSQL"]
    if cores.load == cores.database and together >= _BUSY_CORES and not set(at_limit) - {"subject"}:
        at_limit.append("load + PostgreSQL")
    return ", ".join(at_limit)


def _cpu_each(rounds: Sequence[Measured], process: str) -> str:
    if process not in rounds[0].cpu:
        return ""
    each = median(one.cpu[process] / one.figures[PER_SECOND] for one in rounds)
    return f"{figure(each * 1e6)} µs"


def _cpu(rounds: Sequence[Measured]) -> str:
    return ", ".join(f"{name} {median(each.cpu[name] for each in rounds):.2f}" for name in rounds[0].cpu)


def _node_version() -> str | None:
    node = node_program()
    if node is None:
        return None
    return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _versions() -> Mapping[str, str]:
    """Return the versions of the messenger's and its peers' components."""
    ours = {name: version(name) for name in ("strawberry-graphql", "uvicorn", "uvloop", "asyncpg")}
    lock = PEERS_FOLDER / "package-lock.json"
    locked: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads(lock.read_text())
    packages = locked["packages"]
    return ours | {name: packages[f"node_modules/{name}"]["version"] for name in packages[""]["dependencies"]}


def _revision() -> str | None:
    """Return the commit that was measured, marked if the checkout has changes; None outside Git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
