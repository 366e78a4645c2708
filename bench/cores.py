"""Assigns processes to cores, so that the load generator and the subject do not share one."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Sets of cores; each is None if processes cannot be pinned or the machine has one core.

    The subjects (messenger, peers and floors) run on one core in turns, and each has it to itself. PostgreSQL
    runs on `database`; on a machine with two cores, the load generator shares that core. Two workers run on
    `two`: cores of their own on a machine with four, otherwise all cores.
    """

    subject: frozenset[int] | None = None
    two: frozenset[int] | None = None
    load: frozenset[int] | None = None
    database: frozenset[int] | None = None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """Divide the cores that this process may use."""
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
    """Pin this process, and those that it starts from now on, to these cores."""
    if sys.platform == "linux" and cores is not None:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinning(cores: frozenset[int] | None) -> Generator[None]:
    """Pin the processes that are started in the block, with all their threads, to these cores."""
    before = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else None
    pin(cores)
    try:
        yield
    finally:
        pin(before)
