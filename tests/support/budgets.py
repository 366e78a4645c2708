"""Budgets that stand in for those of a server."""

import asyncio

from execution.budgets import Budget
from resolvers.errors import RateLimited


class NoNewDocuments(Budget):
    """A budget that does not allow new documents."""

    def check(self) -> None:
        raise RateLimited("A document is new.", 1)

    def take(self, work: int) -> int:
        raise AssertionError

    def take_bytes(self, count: int) -> None:
        raise AssertionError

    def charge(self, work: float) -> None:
        raise AssertionError

    async def wait_for(self, work: int) -> int:
        raise AssertionError


class RecordingBudget(NoNewDocuments):
    """A budget that records its charges."""

    def __init__(self) -> None:
        self.drawn = 0.0
        self.checked = asyncio.Event()

    def check(self) -> None:
        self.checked.set()

    def charge(self, work: float) -> None:
        self.drawn += work
