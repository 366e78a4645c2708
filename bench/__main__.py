"""The command: `python -m bench`."""

import asyncio
import json
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from bench import answerable, documents, messenger
from bench.answers import AnswersDiffer
from bench.changes import changes
from bench.comparisons import Scale, comparisons, growth, warm_up, with_earlier
from bench.cores import Cores, pin
from bench.databases import Databases
from bench.measuring import Span
from bench.messenger import CannotDowngrade
from bench.population import Population, Sizes, settle
from bench.processes import CHECKOUT, worker
from bench.report import Run, as_json, table, targets
from bench.revisions import Revision, RevisionUnusable, checked_out
from bench.rounds import measure_in_turns
from bench.subjects import PeersMissing, Stage
from db import embedded

# By one caller. Deleting a message again would be faster.
_MOST_DELETIONS_PER_SECOND = 400
RESULTS = Path(__file__).parent / "results"

_QUICK = Scale(
    Span(0.1, 0.2),
    users=40,
    streams_of_one=40,
    idle=(60, 200),
    rates=(20, 50),
    rates_to_one=(10,),
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One short round: does everything work?")] = False,
    grow: Annotated[bool, typer.Option("--growth", help="How does each grow with what is stored?")] = False,
    against: Annotated[
        str,
        typer.Option(
            help="Compare only with this commit, tag or branch of the repository.",
            metavar="REVISION",
        ),
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="How often each subject is measured.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each time.")] = 0.7,
    only: Annotated[str, typer.Option(help="Only comparisons with this in their name.")] = "",
    output: Annotated[Path | None, typer.Option(help="Where to save the run.", show_default=False)] = None,
) -> None:
    """Measure the messenger, its peers and the floors; print tables and save the run as JSON."""
    signal.signal(signal.SIGTERM, _exit_on_signal)
    begun, made_at = time.monotonic(), datetime.now(UTC)
    scale = _QUICK if quick else Scale(Span(0.25, seconds))
    cores = Cores.of_this_machine()
    try:
        with ExitStack() as stack:
            earlier = stack.enter_context(_revision(against)) if against else None
            forms: Mapping[str, str | None] = {}
            if earlier:
                forms = answerable.forms(documents.ALL, earlier.schema())
            sizes = _sizes(scale, grow=grow, quick=quick)
            stage, population = stack.enter_context(_stage(cores, sizes, earlier, forms))
            offered = growth(population, scale) if grow else comparisons(population, scale)
            chosen, left_out = [each for each in offered if only in each.name], ()
            if earlier:
                chosen, left_out = with_earlier(chosen, forms)
            if not chosen:
                why = f"{earlier} cannot answer any comparison with" if left_out else "no comparison has"
                raise typer.BadParameter(f"{why} {only!r} in its name", param_hint="--only")
            warming = partial(warm_up, population, scale)
            compared, failure = measure_in_turns(
                stage, chosen, 1 if quick else rounds, warming, _show_progress
            )
    except (AnswersDiffer, CannotDowngrade, PeersMissing, RevisionUnusable) as error:
        raise SystemExit("\n".join([str(error), *getattr(error, "__notes__", ())])) from None
    run = Run(made_at, time.monotonic() - begun, scale.span, cores, compared, earlier)
    _show_progress("")
    if compared:
        print(table(run))
    if changed := changes(compared):
        print(f"\n{changed}")
    if left_out:
        names = "; ".join(each.name for each in left_out)
        print(f"\nSkipped, because {earlier} cannot answer their documents: {names}")
    if reached := targets(run):
        print(f"\n{reached}")
    path = output or RESULTS / f"{made_at:%Y-%m-%dT%H-%M-%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(run), indent=2) + "\n")
    print(f"\nSaved in {path}, after {run.seconds:.0f} seconds.")
    if failure is not None:
        raise failure


def _sizes(scale: Scale, *, grow: bool, quick: bool) -> Sizes:
    """Return how much data is stored."""
    pairs = max(scale.users, *scale.idle, *scale.callers) // 2
    seconds = scale.span.warm_up_seconds + scale.span.seconds
    deletions = round(_MOST_DELETIONS_PER_SECOND * seconds)
    if quick:
        return Sizes(pairs, [100], [100], deletions, replayed=250)
    if grow:
        return Sizes(pairs, [25, 1_000, 10_000], [25, 1_000, 100_000], deletions, replayed=250)
    return Sizes(pairs, [1_000], [1_000], deletions, replayed=10_000)


def _revision(name: str) -> AbstractContextManager[Revision]:
    return checked_out(name, CHECKOUT, Path(sys.prefix) / "revisions", _show_progress)


@contextmanager
def _stage(
    cores: Cores, sizes: Sizes, earlier: Revision | None, forms: Mapping[str, str | None]
) -> Generator[tuple[Stage, Population]]:
    """Start what all subjects share, and end it when the block ends, whatever the reason."""
    # PostgreSQL inherits this from us. This process only waits during a measurement.
    pin(cores.database)
    # Servers and the load generator hold ten thousand connections each, and inherit this limit too.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="messenger-bench-")))
        # As root, PostgreSQL runs as another user.
        folder.chmod(0o711)
        _show_progress("filling the database")
        cluster = stack.enter_context(embedded.running(folder / "data"))
        databases = Databases(cluster.socket_dir)
        template = databases.make_template()
        messenger.migrate(template.url)
        population = asyncio.run(settle(template.url, sizes))
        version = None if earlier is None else earlier.version
        if version is not None:
            messenger.downgrade(databases.copy_template().url, version)
        load = stack.enter_context(worker(cores.load))
        common = {document: form for document, form in forms.items() if form is not None}
        yield Stage(folder, cores, databases, cluster.process.pid, load, version, common), population


def _show_progress(what: str) -> None:
    """Show progress to a user at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _exit_on_signal(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    app()
