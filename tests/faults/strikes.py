"""The blows of a round, and when each is dealt."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random

from tests.faults.faults import Fault
from tests.faults.history import History
from tests.faults.senders import Sender
from tests.faults.world import World

# The maximum duration of a blow that stops everything, approximately.
_HOLD_SECONDS = 1
RECOVERY_SECONDS = 30
"""The maximum time until everything works again after a blow."""
_COMMAND_SECONDS = 120
"""The maximum time until a command has succeeded, which is tried again whenever a fault interrupts it."""


class Strikes:
    """Delivers the blows of a round, and stops the senders during the last one, when everything is broken."""

    def __init__(
        self,
        world: World,
        faults: Sequence[Fault],
        dice: Random,
        senders: Sequence[Sender],
        history: History,
        *,
        work: int = 1,
    ) -> None:
        """Prepare the blows of these faults. Between them, each sender does `work` operations on average."""
        self._work = work
        self._history = history
        self._world = world
        self._faults = faults
        self._dice = dice
        self._senders = senders
        self.mended = 0.0
        """When the last of the faults had been mended."""

    async def deal(self, blows: int, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Have each fault strike this many times, the last time all together.

        The command `meanwhile` is executed before the last time.
        """
        async with asyncio.TaskGroup() as tasks:
            for fault in self._faults:
                tasks.create_task(self._deal_alone(fault, blows - 1))
            tasks.create_task(self._deal_with(meanwhile))
        await self._work_goes_on()
        all_broken = asyncio.Barrier(len(self._faults))
        async with asyncio.TaskGroup() as tasks:
            for fault in self._faults:
                tasks.create_task(self._deal_last(fault, all_broken))
        self.mended = time.monotonic()

    async def _deal_with(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        await self._work_goes_on()
        async with asyncio.timeout(_COMMAND_SECONDS):
            await meanwhile()

    async def _deal_alone(self, fault: Fault, blows: int) -> None:
        for _ in range(blows):
            await self._work_goes_on()
            async with fault.blow(self._world, self._dice):
                await self._hold()

    async def _deal_last(self, fault: Fault, all_broken: asyncio.Barrier) -> None:
        async with fault.blow(self._world, self._dice):
            await self._hold()
            await all_broken.wait()
            self._history.enough.set()

    async def _hold(self) -> None:
        """Keep it broken for a while; if anything is still acknowledged, until some of it has been."""
        await asyncio.sleep(self._dice.uniform(0.2, 0.5))
        with suppress(TimeoutError):
            async with asyncio.timeout(_HOLD_SECONDS):
                await self._acknowledged(2 * len(self._senders))

    async def _work_goes_on(self) -> None:
        """Wait until everything works again, and some work has been done."""
        for _ in range(self._work):
            async with asyncio.timeout(RECOVERY_SECONDS):
                await self._acknowledged(len(self._senders))

    async def _acknowledged(self, more: int) -> None:
        """Wait until this many more operations have been acknowledged."""
        wanted = sum(sender.acknowledged for sender in self._senders) + more
        while sum(sender.acknowledged for sender in self._senders) < wanted:
            self._history.news.clear()
            await self._history.news.wait()
