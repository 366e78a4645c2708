"""Markdown tables, and the formats of figures in them."""

from collections.abc import Callable, Sequence
from statistics import median


def markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple("-" * width for width in widths), *rows]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def with_range(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Return the median; for several values, also the lowest and the highest."""
    if len(values) == 1:
        return show(values[0])
    return f"{show(median(values))} ({show(min(values))} to {show(max(values))})"


def figure(value: float) -> str:
    """Return a figure with at least three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float) -> str:
    """Return a ratio; if it is below one, with two digits."""
    return f"{value:.2g}" if value < 1 else figure(value)
