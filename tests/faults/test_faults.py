"""Whatever breaks, every change reaches every device once and in order; a violation is detected."""

import pytest

from tests.faults.conftest import Rounds
from tests.faults.scenes import SCENES, Scene


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
async def test_the_invariant(rounds: Rounds, scene: Scene):
    """It holds under every fault, and breaks if a protection is removed or a bug is planted."""
    outcome = await rounds.outcomes[scene.name]
    replay = f"python -m tests.faults --scene '{scene.name}' --seed {rounds.seeds[scene.name]}"
    print(f"{outcome}\nAgain: {replay}")
    assert scene.is_as_expected(outcome), f"expected {scene.expected or 'no breach'}; again: {replay}"
