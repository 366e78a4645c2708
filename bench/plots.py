"""The command that plots a saved run: `python -m bench.plots RESULT.json`."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from pygal import Line  # pyright: ignore[reportMissingTypeStubs]  # pygal has no types

from bench.measuring import PER_SECOND, Measured
from bench.report import chosen_rounds
from bench.rounds import Compared

# By subject, a value for each position on the x axis.
Series = Mapping[str, Mapping[float, float]]
Find = Callable[[Sequence[Compared]], Series]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot that relates the figures of several comparisons."""

    file_name: str
    title: str
    x_title: str
    find: Find


def _rates(names: str) -> Find:
    """Find the rate per second for each number in a comparison's name."""

    def find(run: Sequence[Compared]) -> Series:
        series: defaultdict[str, dict[float, float]] = defaultdict(dict)
        for compared in run:
            named = re.fullmatch(names, compared.name)
            if named:
                for subject, value in _medians(compared, PER_SECOND):
                    series[subject][float(named[1].replace(",", ""))] = value
        return series

    return find


def _latencies(names: str, percentile: int) -> Find:
    """Find a percentile of the delivery time for each rate in a figure's unit."""

    def find(run: Sequence[Compared]) -> Series:
        series: defaultdict[str, dict[float, float]] = defaultdict(dict)
        for compared in run:
            if not re.fullmatch(names, compared.name):
                continue
            units = {unit for of in compared.rounds.values() for each in of for unit in each.figures}
            for unit in units:
                at_rate = re.fullmatch(rf"p{percentile} ms at ([\d.]+)/s", unit)
                if at_rate:
                    for subject, value in _medians(compared, unit):
                        series[subject][float(at_rate[1])] = value
        return series

    return find


_NUMBER = r"([\d,]+)"
_PLOTS = (
    Plot(
        "create-message", "createMessage, a second", "callers", _rates(f"createMessage, {_NUMBER} callers?")
    ),
    *(
        Plot(
            f"send-to-receive-{file_name}-p{percentile}",
            f"send to receive, {title}: p{percentile}, milliseconds",
            "messages a second",
            _latencies(names, percentile),
        )
        for file_name, title, names in (
            ("users", "users with a stream each", f"send to receive, {_NUMBER} users"),
            ("streams", "streams of one user", f"send to receive, {_NUMBER} streams of one user"),
        )
        for percentile in (50, 99)
    ),
    Plot(
        "conversations",
        "page of 25 conversations, a second",
        "conversations",
        _rates(f"page of 25 of {_NUMBER} conversations"),
    ),
    Plot(
        "messages", "page of 25 messages, a second", "messages", _rates(f"page of 25 of {_NUMBER} messages")
    ),
    Plot(
        "growth",
        "createMessage, a second, one caller",
        "messages in the conversation and the inboxes",
        _rates(f"createMessage after {_NUMBER} messages"),
    ),
    Plot(
        "coming-back",
        "streams that resume 25 messages behind, a second",
        "messages in the inbox",
        _rates(f"coming back 25 behind an inbox of {_NUMBER} messages"),
    ),
)


@app.command()
def main(result: Annotated[Path, typer.Argument(help="A saved run.", exists=True, dir_okay=False)]) -> None:
    """Draw a run as SVG files next to it: throughput by number, and latency by rate."""
    run = [
        Compared(
            each["name"],
            {subject: [Measured(**one) for one in rounds] for subject, rounds in each["rounds"].items()},
        )
        for each in json.loads(result.read_text())["comparisons"]
    ]
    for plot in _PLOTS:
        series = plot.find(run)
        places = sorted({place for values in series.values() for place in values})
        # A line needs two points.
        if len(places) > 1:
            path = result.with_name(f"{result.stem}-{plot.file_name}.svg")
            path.write_bytes(_drawn(plot, series, places))
            print(path)


def _medians(compared: Compared, unit: str) -> Iterator[tuple[str, float]]:
    """Yield the median of each subject that has such figures."""
    for subject, rounds in chosen_rounds(compared).items():
        figures = [each.figures[unit] for each in rounds if unit in each.figures]
        if figures:
            yield subject, median(figures)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _drawn(plot: Plot, series: Series, places: Sequence[float]) -> bytes:
    chart: Any = Line(
        title=plot.title,
        x_title=plot.x_title,
        logarithmic=True,
        # Without the script, which would be loaded from another server.
        js=(),
        width=900,
        height=500,
        legend_at_bottom=True,
        legend_at_bottom_columns=3,
        value_formatter=_shown,
    )
    chart.x_labels = [f"{place:,g}" for place in places]
    for subject, values in series.items():
        chart.add(subject, [values.get(place) for place in places])
    return chart.render()


if __name__ == "__main__":
    app()
