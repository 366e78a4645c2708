"""A round: users send messages during faults; then everything is repaired, and the invariant must hold."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random

from tests.faults.accounts import gather_company
from tests.faults.devices import Device
from tests.faults.faults import Fault
from tests.faults.invariant import Breach, Violation, read_truth, violations
from tests.faults.senders import Sender
from tests.faults.world import World

# The maximum duration of a blow that stops everything, approximately.
_HOLD_SECONDS = 1
_RECOVERY_SECONDS = 30


@dataclass(frozen=True)
class Conduct:
    """How a round is played, and which protections the clients use."""

    blows: int = 2
    people: int = 4
    devices_each: int = 3
    patience_seconds: float = 20
    """How long after the last news a device is waited for."""
    apart: bool = False
    """Whether everything is sent to the first server and heard from the others: each hint has to cross."""
    devices_keep_cursors: bool = True
    senders_have_keys: bool = True


@dataclass(frozen=True)
class Outcome:
    """The results of a round."""

    violations: Sequence[Violation]
    messages: int
    deliveries: int
    reconnections: int
    seconds: float
    catch_up_seconds: float
    """From the moment when everything was mended to the last device's last message."""

    @property
    def breaches(self) -> set[Breach]:
        return {violation.breach for violation in self.violations}

    def __str__(self) -> str:
        figures = (
            f"{self.messages} messages, {self.deliveries} deliveries, {self.reconnections} reconnections,"
            f" {self.seconds:.1f} s, caught up after {self.catch_up_seconds:.2f} s"
        )
        return "\n".join([figures, *map(str, self.violations[:20])])


class _Strikes:
    """Delivers the blows of a round, and stops the senders during the last one, when everything is broken."""

    def __init__(
        self,
        world: World,
        faults: Sequence[Fault],
        dice: Random,
        senders: Sequence[Sender],
        news: asyncio.Event,
    ) -> None:
        self._news = news
        self._world = world
        self._faults = faults
        self._dice = dice
        self._senders = senders
        self.mended = 0.0
        """When the last of the faults had been mended."""

    async def deal(self, blows: int, enough: asyncio.Event) -> None:
        """Have each fault strike this many times, the last time all together."""
        async with asyncio.TaskGroup() as tasks:
            for fault in self._faults:
                tasks.create_task(self._deal_alone(fault, blows - 1))
        await self._work_goes_on()
        all_broken = asyncio.Barrier(len(self._faults))
        async with asyncio.TaskGroup() as tasks:
            for fault in self._faults:
                tasks.create_task(self._deal_last(fault, all_broken, enough))
        self.mended = time.monotonic()

    async def _deal_alone(self, fault: Fault, blows: int) -> None:
        for _ in range(blows):
            await self._work_goes_on()
            async with fault.blow(self._world, self._dice):
                await self._hold()

    async def _deal_last(self, fault: Fault, all_broken: asyncio.Barrier, enough: asyncio.Event) -> None:
        async with fault.blow(self._world, self._dice):
            await self._hold()
            await all_broken.wait()
            enough.set()

    async def _hold(self) -> None:
        """Keep it broken for a while; if messages still get through, until some have."""
        await asyncio.sleep(self._dice.uniform(0.2, 0.5))
        with suppress(TimeoutError):
            async with asyncio.timeout(_HOLD_SECONDS):
                await self._acknowledged(2 * len(self._senders))

    async def _work_goes_on(self) -> None:
        """Wait until everything works again."""
        async with asyncio.timeout(_RECOVERY_SECONDS):
            await self._acknowledged(len(self._senders))

    async def _acknowledged(self, more: int) -> None:
        """Wait until this many more messages have been acknowledged."""
        wanted = sum(sender.acknowledged for sender in self._senders) + more
        while sum(sender.acknowledged for sender in self._senders) < wanted:
            self._news.clear()
            await self._news.wait()


async def play(
    world: World, faults: Sequence[Fault], dice: Random, conduct: Conduct | None = None
) -> Outcome:
    """Play a round in a world where everything works, and leave it that way."""
    conduct = conduct or Conduct()
    started = time.monotonic()
    company = await gather_company(world.database, conduct.people)
    news, enough = asyncio.Event(), asyncio.Event()
    devices = [
        Device(
            account,
            world.doors[1:] if conduct.apart else world.doors,
            Random(dice.getrandbits(32)),
            news,
            include_mine=number % 2 == 0,
            asks_for_everything=number % 2 == 1 and place % 2 == 1,
            keeps_cursor=conduct.devices_keep_cursors,
        )
        for place, account in enumerate(company.accounts)
        for number in range(conduct.devices_each)
    ]
    senders = [
        Sender(
            f"sender {number}",
            account,
            company.talks_of(account.user_id),
            world.doors[:1] if conduct.apart else world.doors,
            Random(dice.getrandbits(32)),
            enough,
            news,
            has_keys=conduct.senders_have_keys,
        )
        for number, account in enumerate([*company.accounts, *company.accounts])
    ]
    strikes = _Strikes(world, faults, dice, senders, news)
    stuck: list[Violation] = []
    async with _listening(devices):
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = [tasks.create_task(sender.send()) for sender in senders]
                await strikes.deal(conduct.blows, enough)
                async with asyncio.timeout(_RECOVERY_SECONDS):
                    await asyncio.wait(sending)
        except* TimeoutError:
            stuck = [Violation(Breach.STUCK, f"after {fault.name}") for fault in faults]
        found: list[Violation] = []
        caught_up = time.monotonic()
        while time.monotonic() < caught_up + conduct.patience_seconds:
            news.clear()
            # Read the devices first, then the truth, which must contain everything that they have seen so
            # far.
            seen = {device: list(device.received) for device in devices}
            truth = await read_truth(world.database, company)
            found = [*stuck, *violations(truth, company, senders, seen)]
            found += [
                Violation(Breach.DIED, server.log()[-2000:]) for server in world.servers if server.has_ended()
            ]
            # Missing messages may still arrive; all other violations are final.
            if {violation.breach for violation in found} != {Breach.MISSED}:
                break
            if await _within(0.2, news):
                caught_up = time.monotonic()
    return Outcome(
        found,
        messages=sum(len(sender.sent) for sender in senders),
        deliveries=sum(len(device.received) for device in devices),
        reconnections=sum(device.connections - 1 for device in devices),
        seconds=time.monotonic() - started,
        catch_up_seconds=max(0, caught_up - (strikes.mended or caught_up)),
    )


@asynccontextmanager
async def _listening(devices: Sequence[Device]) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(device.listen()) for device in devices]
        yield
        for task in listening:
            task.cancel()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
