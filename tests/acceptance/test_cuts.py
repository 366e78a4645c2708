"""Applying events equals fetching again, whatever happens, and wherever streams are cut."""

import asyncio
from collections.abc import Sequence

import httpx
from hypothesis import given
from hypothesis import strategies as st

from db.engine import Database
from tests.acceptance.acts import ACTS, Rejected
from tests.acceptance.devices import Device
from tests.acceptance.examples import bounded
from tests.acceptance.scene import Scene

# Messages are sent and changed more often than all else.
_OFTEN = ["createMessage", "createMessage", "readMessages", "updateMessage", "deleteMessage"]
_CHOICES = st.integers(0, 11)
_ACT = st.tuples(
    st.sampled_from([*sorted(ACTS), *_OFTEN, *_OFTEN]), st.integers(0, 4), st.integers(0, 2), _CHOICES
)
"""The mutation, in which conversation, by which of its participants, and a choice."""
_MOVE = st.tuples(st.sampled_from(["connect", "cut", "hear", "hear one", "page"]), st.integers(0, 4))
"""What a device does, and which device."""


async def started_devices(scene: Scene) -> Sequence[Device]:
    """Return two devices of Ada's, of which one shows less, and one of each other user."""
    everyone = [("ada", scene.ada), ("grace", scene.grace), ("joan", scene.joan), ("hal", scene.hal)]
    devices = await asyncio.gather(
        *(Device.started(name, person) for name, person in everyone),
        Device.started("ada's watch", scene.ada, conversations=1, messages=2),
    )
    for device in devices:
        for conversation in scene.opened_by(device.person):
            await device.opens(conversation)
    return devices


async def act(scene: Scene, mutation: str, where: int, who: int, choice: int) -> None:
    talk = scene.talks[where]
    await ACTS[mutation](scene, talk.people[who % len(talk.people)], talk, choice)


async def act_unless_rejected(scene: Scene, mutation: str, where: int, who: int, choice: int) -> None:
    """Act; another act that crosses may have deleted the message, or changed the name that was given."""
    try:
        await act(scene, mutation, where, who, choice)
    except Rejected as error:
        if str(error) not in {"NOT_ALLOWED", "NOT_FOUND"}:
            raise


async def move(device: Device, what: str) -> None:
    if what == "connect":
        await device.connects()
    elif what == "cut":
        await device.disconnects()
    elif what == "page":
        # A device follows its inbox in one way at a time.
        await device.disconnects()
        await device.pages(2)
    elif device.stream is not None:
        await device.hears(1 if what == "hear one" else None)


async def check(scene: Scene, devices: Sequence[Device]) -> None:
    """Let the devices catch up, and compare what they show with what their users fetch."""
    await asyncio.gather(*(_check(scene, device) for device in devices))


async def _check(scene: Scene, device: Device) -> None:
    await device.connects()
    await device.hears()
    fresh = await device.fetched()
    assert device.differences_from(fresh) == []
    assert await device.missed(scene.database) == []
    if device.cache.has_all:
        assert device.cache.badge() == fresh.totals


@bounded(16)
@given(st.lists(_ACT | _MOVE, min_size=10, max_size=30))
async def test_devices_show_what_would_be_fetched_wherever_they_are_cut(
    http: httpx.AsyncClient, database: Database, steps: list[tuple[str, int, int, int] | tuple[str, int]]
):
    scene = await Scene.set(http, database)
    await scene.begin()
    devices = await started_devices(scene)
    try:
        for step in steps:
            if len(step) == 4:
                await act(scene, *step)
            else:
                await move(devices[step[1]], step[0])
        await check(scene, devices)
    finally:
        for device in devices:
            await device.disconnects()


@bounded(10)
@given(st.lists(st.lists(_ACT, min_size=2, max_size=5), min_size=1, max_size=4))
async def test_devices_show_what_would_be_fetched_after_mutations_that_cross(
    http: httpx.AsyncClient, database: Database, rounds: list[list[tuple[str, int, int, int]]]
):
    scene = await Scene.set(http, database)
    await scene.begin()
    devices = await started_devices(scene)
    try:
        for device in devices:
            await device.connects()
        for acts in rounds:
            await asyncio.gather(*(act_unless_rejected(scene, *each) for each in acts))
        await check(scene, devices)
    finally:
        for device in devices:
            await device.disconnects()
