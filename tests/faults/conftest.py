"""The rounds of this run; some of them are played at the same time, because they mostly wait."""

import asyncio
import random
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from db import embedded
from tests.faults.harness import Harness, open_harness
from tests.faults.rounds import Outcome
from tests.faults.scenes import Scene

_AT_A_TIME = 4
_MORE_ROUNDS = 4

_NONE = SimpleNamespace(params={})


@dataclass
class Rounds:
    """Plays each scene once, as soon as there is capacity."""

    harness: Harness
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_A_TIME))
    seeds: dict[str, int] = field(default_factory=dict[str, int])
    outcomes: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict[str, asyncio.Task[Outcome]])

    def begin(self, scene: Scene) -> None:
        self.outcomes[scene.name] = asyncio.create_task(self._play(scene))

    async def _play(self, scene: Scene) -> Outcome:
        """Play a fault once; if the invariant has to break by chance, repeat the round a few times."""
        outcome = await self._round(scene)
        for _ in range(_MORE_ROUNDS if scene.expected else 0):
            if scene.is_as_expected(outcome):
                break
            outcome = await self._round(scene)
        return outcome

    async def _round(self, scene: Scene) -> Outcome:
        async with self.room:
            self.seeds[scene.name] = random.SystemRandom().randrange(2**32)
            return await self.harness.play([scene.fault], self.seeds[scene.name], scene.conduct)


@pytest.fixture(scope="session")
async def rounds(request: pytest.FixtureRequest) -> AsyncGenerator[Rounds]:
    """Begin the rounds of all collected tests."""
    scenes = [
        scene
        for item in request.session.items
        # A test without parameters has no call specification.
        if isinstance(scene := getattr(item, "callspec", _NONE).params.get("scene"), Scene)
    ]
    binaries: Path = request.config.getoption("--postgres") or embedded.wheel_binaries()
    with tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        async with open_harness(Path(folder), binaries) as harness:
            rounds = Rounds(harness)
            for scene in scenes:
                rounds.begin(scene)
            yield rounds
            for task in rounds.outcomes.values():
                task.cancel()
            await asyncio.wait(rounds.outcomes.values())
