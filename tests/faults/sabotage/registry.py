"""The names of sabotage."""

from collections.abc import Callable

Sabotage = Callable[[], None]

BY_NAME: dict[str, Sabotage] = {}


def sabotage(break_it: Sabotage) -> Sabotage:
    """Register a function, under its name, that breaks something in this process."""
    BY_NAME[break_it.__name__] = break_it
    return break_it
