"""Applying events equals fetching again: for each mutation, every user concerned, live and after pauses.

To add a mutation, add its cases to `CASES`, and an act to `ACTS`.
"""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from graphql import GraphQLInterfaceType

from db.engine import Database
from tests.acceptance.acts import ACTS
from tests.acceptance.cache import HANDLERS
from tests.acceptance.cases import CASES, NO_EVENTS, REMOVALS, Case
from tests.acceptance.devices import Device
from tests.acceptance.documents import SCHEMA, SNAPSHOT
from tests.acceptance.scene import Scene
from tests.support.counts import miscounted
from tests.support.people import Person

# What a client does not keep up to date by events.
NOT_SHOWN = {
    "user": "a search by name, for a moment",
    "searchUsers": "a search by name, for a moment",
    "node": "another way to fetch what is compared",
    "nodes": "another way to fetch what is compared",
    "conversation": "another way to fetch what is compared; it is fetched where a conversation is not listed",
    "inboxEvents": "the events themselves",
    "sessions": "fetched when it is shown, and only by the user",
    "serverInfo": "the settings of the server",
}


def test_every_mutation_has_cases_and_an_act():
    assert SCHEMA.mutation_type is not None
    mutations = set(SCHEMA.mutation_type.fields)
    assert set(CASES) == mutations
    assert set(ACTS) == mutations
    assert set(NO_EVENTS) <= mutations


def test_every_query_is_compared_or_has_a_reason():
    assert SCHEMA.query_type is not None
    compared = {name for name in SCHEMA.query_type.fields if f" {name}" in SNAPSHOT}
    assert set(SCHEMA.query_type.fields) - compared - set(NOT_SHOWN) == set()


def test_every_kind_of_event_is_applied():
    interface = SCHEMA.type_map["InboxEvent"]
    assert isinstance(interface, GraphQLInterfaceType)
    kinds = {each.name for each in SCHEMA.get_possible_types(interface)}
    assert kinds == {*HANDLERS, "CaughtUp"}


class Way:
    """How devices of a user get events, each in its own way, while something happens."""

    def __init__(self, started: Device) -> None:
        self.live = started.like_this("live")
        self.resumed = started.like_this("resumed")
        self.cut = started.like_this("cut after each event")
        self.paged = started.like_this("in pages")
        self.paged_singly = started.like_this("in pages of one")

    @property
    def devices(self) -> Sequence[Device]:
        return [self.live, self.resumed, self.cut, self.paged, self.paged_singly]

    @classmethod
    async def of(cls, person: Person, scene: Scene) -> "Way":
        """Start the devices, which show few of the user's messages, and the conversations without any."""
        started = await Device.started(person.username, person, messages=3)
        for conversation in scene.opened_by(person):
            await started.opens(conversation)
        way = cls(started)
        await way.live.connects()
        return way

    async def catch_up(self) -> None:
        await self.live.hears()
        await self.resumed.connects()
        await self.resumed.hears()
        await self.resumed.disconnects()
        await self._catch_up_with_cuts()
        await self.paged.pages(100)
        await self.paged_singly.pages(1)

    async def _catch_up_with_cuts(self) -> None:
        cursor = ""
        while cursor != self.cut.cache.cursor:
            cursor = self.cut.cache.cursor
            await self.cut.connects()
            await self.cut.hears(1)
            await self.cut.disconnects()


@pytest.mark.parametrize(
    ("mutation", "case"),
    [(mutation, case) for mutation, cases in CASES.items() for case in cases]
    + [("removal", case) for case in REMOVALS],
)
async def test_applying_events_equals_fetching_again(
    http: httpx.AsyncClient, database: Database, mutation: str, case: Case
):
    scene = await Scene.set(http, database)
    await scene.begin(2)
    ways = await asyncio.gather(*(Way.of(person, scene) for person in scene.people))
    before = [way.live.cache.cursor for way in ways]
    await case(scene)
    try:
        remaining = [way for way in ways if way.live.person not in scene.removed]
        await asyncio.gather(*(way.catch_up() for way in remaining))
        for way in remaining:
            fresh = await way.live.fetched()
            found = [line for device in way.devices for line in device.differences_from(fresh)]
            assert found == []
            assert [await device.missed(database) for device in way.devices] == [[]] * len(way.devices)
            assert {device.cache.cursor for device in way.devices} == {fresh.cursor}
            assert way.live.cache.badge() == fresh.totals
        async with database.connection() as connection:
            assert await miscounted(connection, [way.live.user_id for way in remaining]) == []
        if mutation in NO_EVENTS:
            assert [way.live.cache.cursor for way in ways] == before
    finally:
        for way in ways:
            await way.live.disconnects()
