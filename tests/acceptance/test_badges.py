"""What a device's badge shows is what a fresh count finds, after every step of users with several devices."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from db.embedded import Cluster
from db.engine import Database, open_database
from schema.node import NodeType
from tests.acceptance.acts import ACTS
from tests.acceptance.devices import Device
from tests.acceptance.examples import bounded
from tests.acceptance.scene import Scene
from tests.support.clients import http_client
from tests.support.serving import Server

# Examples are many requests, which take their time while other tests run.
pytestmark = pytest.mark.timeout(300)

_COUNTED = ["createMessage", "readMessages", "deleteMessage"]
"""The mutations that change counts are used more often."""
# The product's statements are not used. In each conversation, what others have sent after the user's mark and
# not deleted is unread; the mark is that of the last message that the user has read or sent.
_UNREAD = """
    SELECT participants.conversation_id, count(messages.id) AS unread
    FROM participants
    LEFT JOIN messages ON messages.conversation_id = participants.conversation_id
                      AND messages.seq > participants.read_seq
                      AND messages.author_id <> participants.user_id
                      AND messages.deleted_at IS NULL
    WHERE participants.user_id = $1
    GROUP BY participants.conversation_id
"""

_FETCHED = """
    { unread { conversations messages } conversations { edges { node { id unreadCount } } } }
"""


class Machine(RuleBasedStateMachine):
    """Ada with two devices, Grace with one, and Joan, who may be removed, with one."""

    def __init__(self, runner: asyncio.Runner, http: httpx.AsyncClient, database: Database) -> None:
        super().__init__()
        self._run = runner.run
        self._http = http
        self._database = database
        self.devices: list[Device] = []
        self.offline: list[Device] = []

    @initialize()
    def users_begin_to_talk(self) -> None:
        self._run(self._begin())

    async def _begin(self) -> None:
        self.scene = await Scene.set(self._http, self._database)
        await self.scene.begin()
        for name, person in (
            ("ada's telephone", self.scene.ada),
            ("ada's computer", self.scene.ada),
            ("grace", self.scene.grace),
            ("joan", self.scene.joan),
        ):
            device = await Device.started(name, person)
            await device.connects()
            self.devices.append(device)

    @rule(
        mutation=st.sampled_from([*sorted(ACTS), *_COUNTED, *_COUNTED, *_COUNTED]),
        where=st.integers(0, 2),
        who=st.integers(0, 2),
        choice=st.integers(0, 11),
    )
    def a_user_acts(self, mutation: str, where: int, who: int, choice: int) -> None:
        talk = [self.scene.pair, self.scene.other_pair, self.scene.group][where]
        people = [each for each in talk.people if each not in self.scene.removed]
        self._run(ACTS[mutation](self.scene, people[who % len(people)], talk, choice))

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def a_device_goes_offline(self, data: st.DataObject) -> None:
        device = data.draw(st.sampled_from(self.devices))
        self.devices.remove(device)
        self.offline.append(device)
        self._run(device.disconnects())

    @precondition(lambda self: self.offline)
    @rule(data=st.data(), paged=st.booleans())
    def a_device_comes_back(self, data: st.DataObject, paged: bool) -> None:
        device = data.draw(st.sampled_from(self.offline))
        self.offline.remove(device)
        self.devices.append(device)
        if paged:
            self._run(device.pages(3))
        self._run(device.connects())

    @precondition(lambda self: not self.scene.removed)
    @rule(is_time=st.integers(0, 5).map(lambda number: number == 0))
    def joan_is_removed(self, is_time: bool) -> None:
        if is_time:
            self._run(self._remove_joan())

    async def _remove_joan(self) -> None:
        await self.scene.remove(self.scene.joan)
        for device in [each for each in self.devices if each.person is self.scene.joan]:
            self.devices.remove(device)
            await device.disconnects()
        self.offline = [each for each in self.offline if each.person is not self.scene.joan]

    @invariant()
    def badges_are_fresh_counts(self) -> None:
        self._run(self._check())

    async def _check(self) -> None:
        await asyncio.gather(*map(self._check_badge, self.devices))

    async def _check_badge(self, device: Device) -> None:
        await device.hears()
        counted = await self._counted(device)
        totals = {"conversations": sum(map(bool, counted.values())), "messages": sum(counted.values())}
        assert (device.name, device.cache.badge()) == (device.name, totals)
        shown = {each: device.cache.objects[each]["unreadCount"] for each in device.cache.listed}
        fetched = await device.person.asks(_FETCHED)
        edges = fetched["conversations"]["edges"]
        for counts in (shown, {edge["node"]["id"]: edge["node"]["unreadCount"] for edge in edges}):
            assert (device.name, counts) == (device.name, {each: counted[each] for each in counts})
        assert (device.name, fetched["unread"]) == (device.name, totals)

    async def _counted(self, device: Device) -> dict[str, int]:
        """Count a user's unread messages in each conversation, in the database."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_UNREAD, device.user_id)
        return {NodeType.CONVERSATION.encode(row["conversation_id"]): row["unread"] for row in rows}

    def teardown(self) -> None:
        for device in self.devices:
            self._run(device.disconnects())


def test_badges_equal_fresh_counts_after_every_step(server: Server, cluster: Cluster):
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        http = runner.run(stack.enter_async_context(http_client(server.url)))
        database = runner.run(stack.enter_async_context(open_database(cluster.url(), pool_size=4)))

        class MachineOfThisServer(Machine):
            def __init__(self) -> None:
                super().__init__(runner, http, database)

        try:
            run_state_machine_as_test(
                MachineOfThisServer,
                settings=bounded(10, steps=18),
            )
        finally:
            runner.run(stack.aclose())
