"""The command: `python -m bench`."""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from bench import bare_asgi, messenger
from bench.comparisons import Stage, comparisons
from bench.cores import Cores, pin
from bench.measuring import Span
from bench.population import settle
from bench.processes import worker
from bench.report import Run, as_json, table
from bench.rounds import measure_in_turns
from bench.servers import bare_at, messenger_at
from db import embedded

RESULTS = Path(__file__).parent / "results"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: does everything work?")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="How often each subject is measured.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each time.")] = 0.7,
    only: Annotated[str, typer.Option(help="Only comparisons with this in their name.")] = "",
    output: Annotated[Path | None, typer.Option(help="Where to save the run.", show_default=False)] = None,
) -> None:
    """Measure the messenger beside its floors; print a table and save the run as JSON."""
    signal.signal(signal.SIGTERM, _leave)
    begun, made_at = time.monotonic(), datetime.now(UTC)
    span = Span(0.2, 0.3) if quick else Span(0.25, seconds)
    cores = Cores.of_this_machine()
    with _stage(cores) as stage:
        chosen = [each for each in comparisons(stage, span) if only in each.name]
        if not chosen:
            raise typer.BadParameter(f"no comparison has {only!r} in its name", param_hint="--only")
        compared = measure_in_turns(chosen, 1 if quick else rounds, _tell)
    run = Run(made_at, time.monotonic() - begun, span, cores, compared)
    _tell("")
    print(table(run))
    path = output or RESULTS / f"{made_at:%Y-%m-%dT%H-%M-%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(run), indent=2) + "\n")
    print(f"Saved in {path}.")


@contextmanager
def _stage(cores: Cores) -> Generator[Stage]:
    """Start everything, on fresh data; end it when the block ends, however it does."""
    # We only wait while something is measured, so what we start, PostgreSQL, is to inherit this.
    pin(0, cores.database)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="messenger-bench-")))
        # PostgreSQL runs as another user when we are root.
        folder.chmod(0o711)
        _tell("starting")
        cluster = stack.enter_context(embedded.running(folder / "data"))
        population = asyncio.run(settle(cluster.url()))
        yield Stage(
            cluster.url(),
            cluster.process.pid,
            population,
            messenger_at(*stack.enter_context(messenger.serving(folder, cluster.url(), cores.subject))),
            bare_at(*stack.enter_context(bare_asgi.serving(cores.subject))),
            stack.enter_context(worker(cores.load)),
            stack.enter_context(worker(cores.subject)),
        )


def _tell(what: str) -> None:
    """Say what is going on, to people at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    app()
