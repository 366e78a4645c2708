"""A round: users do many things during faults; then all is repaired, and the invariant must hold."""

import asyncio
import time
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.faults.accounts import Company, gather_company
from tests.faults.devices import EVERYTHING, NEW_MESSAGES, NEW_MESSAGES_OF_OTHERS, OF_OTHERS, Device
from tests.faults.faults import Fault
from tests.faults.history import History
from tests.faults.invariant import Breach, View, Violation, violations
from tests.faults.operations import Operation
from tests.faults.senders import ALL_KINDS, Sender
from tests.faults.strikes import RECOVERY_SECONDS, Strikes
from tests.faults.truth import read_truth
from tests.faults.world import World

# What the devices of a user subscribe to; of those with two possibilities, every second user has the other.
_SUBSCRIPTIONS = (
    (EVERYTHING, EVERYTHING),
    (NEW_MESSAGES_OF_OTHERS, OF_OTHERS),
    (NEW_MESSAGES, EVERYTHING),
)


@dataclass(frozen=True)
class Conduct:
    """How a round is played, and which protections the clients use."""

    blows: int = 2
    people: int = 4
    work: int = 1
    """How many operations of each sender there are between two blows, on average."""
    patience_seconds: float = 20
    """How long after the last news a device is waited for."""
    apart: bool = False
    """Whether everything is sent to the first server and heard from the others: each hint has to cross."""
    devices_keep_cursors: bool = True
    senders_have_keys: bool = True
    mix: Mapping[type[Operation], int] = field(default_factory=lambda: ALL_KINDS)
    """How often each kind of operation is chosen."""


@dataclass(frozen=True)
class Outcome:
    """The results of a round."""

    violations: Sequence[Violation]
    operations: Mapping[str, int]
    """How many of each mutation have been tried."""
    deliveries: int
    reconnections: int
    seconds: float
    catch_up_seconds: float
    """From the moment when everything was mended to the last device's last event."""

    @property
    def breaches(self) -> set[Breach]:
        return {violation.breach for violation in self.violations}

    def __str__(self) -> str:
        figures = (
            f"{sum(self.operations.values())} operations, {self.deliveries} deliveries,"
            f" {self.reconnections} reconnections, {self.seconds:.1f} s,"
            f" caught up after {self.catch_up_seconds:.2f} s"
        )
        return "\n".join([figures, *map(str, self.violations[:20])])


async def play(
    world: World, faults: Sequence[Fault], dice: Random, conduct: Conduct | None = None
) -> Outcome:
    """Play a round in a world where everything works, and leave it that way."""
    conduct = conduct or Conduct()
    started = time.monotonic()
    company = await gather_company(world.database, conduct.people)
    history = History(company, world.losses)
    devices = _devices(world, history, dice, conduct)
    senders = _senders(world, history, dice, conduct)
    strikes = Strikes(world, faults, dice, senders, history, work=conduct.work)
    async with _listening(devices):
        # In a task of its own, because in Python 3.11 a group of tasks that fails leaves the task that waits
        # for it marked as cancelled, so that later timeouts in it raise CancelledError.
        stuck = await asyncio.create_task(_work(world, senders, strikes, conduct, company))
        found: list[Violation] = []
        caught_up = time.monotonic()
        while time.monotonic() < caught_up + conduct.patience_seconds:
            history.news.clear()
            # Look at the devices first, then read the truth, which must contain everything that they have
            # seen so far.
            remaining = [device for device in devices if not device.account.is_leaving]
            views = [View.of(device) for device in remaining]
            is_settled = all(device.knows_losses for device in remaining)
            truth = await read_truth(world.database, company)
            found = [*stuck, *violations(truth, history, views), *_of_answers(world, senders, devices)]
            # Missing events may still arrive; all other violations are final.
            if is_settled and {violation.breach for violation in found} != {Breach.MISSED}:
                break
            if await _within(0.2, history.news):
                caught_up = time.monotonic()
    return Outcome(
        found,
        operations=Counter(operation.name for operation in history.operations),
        deliveries=sum(device.deliveries for device in devices),
        reconnections=sum(device.connections - 1 for device in devices),
        seconds=time.monotonic() - started,
        catch_up_seconds=max(0, caught_up - (strikes.mended or caught_up)),
    )


async def _work(
    world: World, senders: Sequence[Sender], strikes: Strikes, conduct: Conduct, company: Company
) -> Sequence[Violation]:
    """Have the senders work while the faults strike; return what did not go on in time."""
    stuck: list[Violation] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = [tasks.create_task(sender.send()) for sender in senders]
            await strikes.deal(conduct.blows, lambda: _remove_one(world, company))
            async with asyncio.timeout(RECOVERY_SECONDS):
                await asyncio.wait(sending)
    except* TimeoutError as group:
        waits = "".join(traceback.format_exception(group, chain=False))
        logs = [f"server {number}: {server.log()[-2000:]}" for number, server in enumerate(world.servers)]
        stuck = [Violation(Breach.STUCK, "\n".join([waits, *logs]))]
    return stuck


def _devices(world: World, history: History, dice: Random, conduct: Conduct) -> list[Device]:
    return [
        Device(
            account,
            history,
            world.doors[1:] if conduct.apart else world.doors,
            Random(dice.getrandbits(32)),
            possible[place % 2],
            keeps_cursor=conduct.devices_keep_cursors,
        )
        for place, account in enumerate(history.company.accounts)
        for possible in _SUBSCRIPTIONS
    ]


def _senders(world: World, history: History, dice: Random, conduct: Conduct) -> list[Sender]:
    return [
        Sender(
            f"sender {number}",
            account,
            history,
            world.doors[:1] if conduct.apart else world.doors,
            Random(dice.getrandbits(32)),
            conduct.mix,
            has_keys=conduct.senders_have_keys,
        )
        for number, account in enumerate([*history.company.accounts, *history.company.accounts])
    ]


async def _remove_one(world: World, company: Company) -> None:
    """Remove the last user, who keeps their name; again, until they have been removed."""
    account = company.accounts[-1]
    account.is_leaving = True
    while (await read_truth(world.database, company)).names[account.user_id] is not None:
        await world.remove(account.username)


def _of_answers(world: World, senders: Sequence[Sender], devices: Sequence[Device]) -> list[Violation]:
    return [
        *(Violation(Breach.WRONG_ERROR, error) for one in (*senders, *devices) for error in one.wrong_errors),
        *(Violation(Breach.DIED, server.log()[-2000:]) for server in world.servers if server.has_ended()),
    ]


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
