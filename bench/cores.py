"""Which process runs on which core, so that what is measured and what measures do not share one."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Sets of cores; each None where processes cannot be pinned, or there is only one core.

    The subjects, messenger, peers and floors alike, have one core in turns and each to itself. PostgreSQL
    works on `database`, which is the load generator's core where there are only two. Two workers have `two`:
    cores of their own where there are four, or else all of them.
    """

    subject: frozenset[int] | None = None
    two: frozenset[int] | None = None
    load: frozenset[int] | None = None
    database: frozenset[int] | None = None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """Share out the cores that this process may use."""
        if sys.platform != "linux":
            return cls()
        subject, *others = available = sorted(os.sched_getaffinity(0))
        if not others:
            return cls()
        if len(available) < 4:
            return cls(
                frozenset({subject}),
                frozenset(available),
                frozenset(others[:1]),
                frozenset(others[1:] or others),
            )
        second, load, *database = others
        return cls(frozenset({subject}), frozenset({subject, second}), frozenset({load}), frozenset(database))

    def __str__(self) -> str:
        if self.subject is None:
            return "not pinned"
        if self.load == self.database:
            return "pinned: the subject to one core, the load generator and PostgreSQL to another"
        return "pinned: the subject, the load generator and PostgreSQL to cores of their own"


def pin(cores: frozenset[int] | None) -> None:
    """Keep this process, and what it starts from now on, on these cores."""
    if sys.platform == "linux" and cores is not None:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinning(cores: frozenset[int] | None) -> Generator[None]:
    """Have what is started in the block stay on these cores, with every thread that it will have."""
    before = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else None
    pin(cores)
    try:
        yield
    finally:
        pin(before)
