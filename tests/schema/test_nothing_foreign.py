"""Objects of other users do not exist: every path of the schema, tried as a stranger and unauthenticated.

The paths are generated from the schema. A root field without a case here fails a test, and so does a field
with a required argument that is not in ARGUMENTS, so that new ones cannot be forgotten.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from sqlalchemy import select

from db.engine import Database
from db.tables import conversations, messages, participants, sessions
from execution.api import Api
from schema.node import NodeType
from tests.support.people import Person
from tests.support.tables import tables

SCHEMA = build_schema(Api().sdl())
MARKER = "for Ada and Grace only"
DEVICE = "Ada's own telephone"

# The arguments of fields below the root; small pages, because they are nested.
ARGUMENTS = {"Conversation.messages": "last: 3", "Message.readBy": "first: 2"}


@dataclass
class World:
    """Ada and Grace with their shared data, and a stranger with data of her own."""

    ada: Person
    grace: Person
    eve: Person
    conversation: str
    message: str
    session: str
    cursor: str
    user: str
    own_conversation: str
    secrets: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self.secrets = {self.conversation, self.message, self.session, self.cursor, MARKER, DEVICE}

    def found_in(self, answer: object) -> set[str]:
        text = json.dumps(answer, ensure_ascii=False)
        return {secret for secret in self.secrets if secret in text}


@dataclass(frozen=True)
class Case:
    """The arguments for a root field; it is public if every signed-in user may see what it returns."""

    arguments: Callable[[World], list[str]] = lambda world: [""]
    public: bool = False


QUERIES = {
    "viewer": Case(public=True),
    "inboxCursor": Case(),
    # It has a test of its own, because it takes only cursors of the viewer.
    "inboxEvents": Case(lambda w: [], public=True),
    "unread": Case(public=True),
    "node": Case(
        lambda w: [f'(id: "{foreign}")' for foreign in (w.conversation, w.message, w.session, w.user)]
    ),
    "nodes": Case(lambda w: [f'(ids: ["{w.conversation}", "{w.message}", "{w.session}", "{w.user}"])']),
    "user": Case(lambda w: [f'(username: "{w.ada.username}")'], public=True),
    "searchUsers": Case(lambda w: [f'(search: "{w.ada.username[:8]}", first: 20)'], public=True),
    "conversation": Case(lambda w: [f'(id: "{foreign}")' for foreign in (w.conversation, w.message)]),
    "conversations": Case(lambda w: ["(first: 100)"]),
    "sessions": Case(),
    "serverInfo": Case(public=True),
}
MUTATIONS = {
    "createConversation": Case(lambda w: [f'(input: {{username: "{w.ada.username}"}})']),
    "createMessage": Case(
        lambda w: [
            f'(input: {{conversationId: "{foreign}", content: "let me in"}})'
            for foreign in (w.conversation, w.message, w.user)
        ]
    ),
    "readMessages": Case(
        lambda w: [
            f'(input: {{conversationId: "{w.conversation}"}})',
            f'(input: {{conversationId: "{w.conversation}", upToMessageId: "{w.message}"}})',
            f'(input: {{conversationId: "{w.own_conversation}", upToMessageId: "{w.message}"}})',
        ]
    ),
    "updateMessage": Case(
        lambda w: [
            f'(input: {{messageId: "{foreign}", content: "changed"{version}}})'
            for foreign in (w.message, w.conversation)
            for version in ("", ", expectedVersion: 7")
        ]
    ),
    "deleteMessage": Case(
        lambda w: [f'(input: {{messageId: "{foreign}"}})' for foreign in (w.message, w.conversation)]
    ),
    "updateProfile": Case(lambda w: ["(input: {avatarUrl: null})"]),
    "endSession": Case(lambda w: [f'(input: {{sessionId: "{w.session}"}})']),
    "endOtherSessions": Case(),
}
SUBSCRIPTIONS = {
    "messageCreated": Case(lambda w: ["", "(includeMine: true)", f'(after: "{w.cursor}")']),
    "inboxEvents": Case(lambda w: ["", "(includeMine: false)", f'(after: "{w.cursor}")']),
}


class Walk:
    """Everything that can be selected below a type, and which fields have been visited."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.seen: set[str] = set()

    def below(
        self, named_type: GraphQLNamedType, path: tuple[str, ...] = (), *, beside_others: bool = False
    ) -> str:
        """Return the selection of all fields; for a type that is already on the path, only its leaves.

        A type that is selected beside others may have fields of the same names, so its own get aliases.
        """
        if is_leaf_type(named_type):
            return ""
        if isinstance(named_type, GraphQLInterfaceType):
            kinds = self._schema.get_possible_types(named_type)
            return (
                "{ __typename "
                + " ".join(
                    f"... on {kind.name} {self.below(kind, path, beside_others=True)}" for kind in kinds
                )
                + " }"
            )
        assert isinstance(named_type, GraphQLObjectType), f"{named_type} is not walked yet"
        selected = ["__typename"]
        for name, definition in named_type.fields.items():
            inner = self._type_of(definition)
            if named_type.name in path and not is_leaf_type(inner):
                continue
            place = f"{named_type.name}.{name}"
            self.seen.add(place)
            given = ARGUMENTS.get(place)
            for argument, each in definition.args.items():
                assert given or not is_required_argument(each), (
                    f"say in ARGUMENTS what {place}({argument}:) gets"
                )
            alias = f"{named_type.name}_{name}: {name}" if beside_others and name != "id" else name
            selected.append(
                f"{alias}{f'({given})' if given else ''} {self.below(inner, (*path, named_type.name))}"
            )
        return "{ " + " ".join(selected) + " }"

    def _type_of(self, definition: GraphQLField) -> GraphQLNamedType:
        # graphql-core does not type what its lists wrap.
        return get_named_type(definition.type)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]

    def operation(self, kind: str, root_field: str, arguments: str) -> str:
        """Return the operation that selects everything below the root field."""
        root = getattr(self._schema, f"{kind}_type")
        self.seen.add(f"{root.name}.{root_field}")
        below = self.below(self._type_of(root.fields[root_field]))
        return f"{kind} {{ {root_field}{arguments} {below} }}"


@pytest.fixture(scope="module")
async def world(http: httpx.AsyncClient) -> World:
    async def signs_in(name: str, user_agent: str = "A browser") -> Person:
        username = f"{name}-{uuid4().hex[:12]}"
        response = await http.post(
            "/auth/dev/login", json={"username": username}, headers={"user-agent": user_agent}
        )
        http.cookies.clear()
        return Person(username, response.json()["token"], http)

    ada, grace, eve = await signs_in("ada", DEVICE), await signs_in("grace"), await signs_in("eve")
    conversation = await ada.opens_conversation_with(grace)
    message = await ada.sends(MARKER, to=conversation)
    own_conversation = await eve.opens_conversation_with(grace)
    await eve.sends("Eve's own", to=own_conversation)
    mine = await ada.asks("{ viewer { id } sessions { id } inboxCursor }")
    return World(
        ada,
        grace,
        eve,
        conversation,
        message["id"],
        mine["sessions"][0]["id"],
        mine["inboxCursor"],
        mine["viewer"]["id"],
        own_conversation,
    )


def test_every_root_field_has_a_case():
    for root, cases in (
        (SCHEMA.query_type, QUERIES),
        (SCHEMA.mutation_type, MUTATIONS),
        (SCHEMA.subscription_type, SUBSCRIPTIONS),
    ):
        assert root is not None
        assert set(cases) == set(root.fields), f"{root.name} has fields without a case here"


def test_every_field_of_the_schema_is_walked(walk_without_a_world: Walk):
    fields = {
        f"{name}.{field_name}"
        for name, each in SCHEMA.type_map.items()
        if isinstance(each, GraphQLObjectType) and not name.startswith("__")
        for field_name in each.fields
    }
    assert fields - walk_without_a_world.seen == set()


@pytest.fixture
def walk_without_a_world() -> Walk:
    """Visit everything without sending requests."""
    walk = Walk(SCHEMA)
    for kind, cases in (("query", QUERIES), ("mutation", MUTATIONS), ("subscription", SUBSCRIPTIONS)):
        for name in cases:
            walk.operation(kind, name, "")
    return walk


@pytest.mark.parametrize("name", QUERIES)
async def test_the_owner_sees_everything_and_a_stranger_nothing(world: World, name: str):
    case = QUERIES[name]
    shown: set[str] = set()
    for arguments in case.arguments(world):
        query = Walk(SCHEMA).operation("query", name, arguments)
        answer = await world.eve.answer(query)
        assert answer.get("data") is not None, answer
        assert world.found_in(answer["data"]) == set()
        assert "errors" not in answer, "it looks like what does not exist"
        shown |= world.found_in((await world.ada.answer(query))["data"])
    # The same query shows it to its owner, so the query does ask for it.
    assert bool(shown) is not case.public


async def test_every_secret_is_reachable_by_its_owner(world: World):
    """Each secret is on some path, so a stranger who does not see it has been refused it."""
    shown: set[str] = set()
    for name, case in QUERIES.items():
        for arguments in case.arguments(world):
            shown |= world.found_in(await world.ada.answer(Walk(SCHEMA).operation("query", name, arguments)))
    assert shown == world.secrets


async def state(database: Database, world: World) -> list[Any]:
    """Return everything that strangers must not change."""
    room, user = NodeType.CONVERSATION.decode(world.conversation), NodeType.USER.decode(world.user)
    async with tables(database) as connection:
        return [
            (await connection.execute(query)).all()
            for query in (
                select(conversations).where(conversations.c.id == room),
                select(participants).where(participants.c.conversation_id == room).order_by("user_id"),
                select(messages).where(messages.c.conversation_id == room).order_by("seq"),
                select(sessions).where(sessions.c.user_id == user).order_by("id"),
            )
        ]


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_stranger_changes_nothing_and_learns_nothing(world: World, database: Database, name: str):
    before = await state(database, world)
    for arguments in MUTATIONS[name].arguments(world):
        answer = await world.eve.answer(Walk(SCHEMA).operation("mutation", name, arguments))
        assert world.found_in(answer) == set()
        assert "errors" not in answer, answer
    assert await state(database, world) == before


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
async def test_a_stranger_receives_no_events(world: World, name: str):
    for arguments in SUBSCRIPTIONS[name].arguments(world):
        async with world.eve.streaming(Walk(SCHEMA).operation("subscription", name, arguments)) as stream:
            await world.ada.sends(MARKER, to=world.conversation)
            heard_first = f"for Eve too {uuid4()}"
            await world.grace.sends(heard_first, to=world.own_conversation)
            event = await stream.answer()
            if "CaughtUp" in json.dumps(event):
                assert world.found_in(event) == set()
                event = await stream.answer()
            assert world.found_in(event) == set()
            if "errors" in event:
                assert event["errors"][0]["extensions"]["code"] == "CURSOR_INVALID"
            else:
                assert heard_first in json.dumps(event)


async def test_a_page_of_the_inbox_has_only_what_reached_the_viewer(world: World):
    start = await world.eve.inbox_cursor()
    await world.ada.sends(MARKER, to=world.conversation)
    page = Walk(SCHEMA).operation("query", "inboxEvents", '(after: "CURSOR", first: 2)')
    own = await world.eve.asks(page.replace("CURSOR", start))
    assert own["inboxEvents"]["events"] == []
    foreign = page.replace("CURSOR", world.cursor)
    answer = await world.eve.answer(foreign)
    assert answer["errors"][0]["extensions"]["code"] == "CURSOR_INVALID"
    assert world.found_in((await world.ada.asks(foreign))["inboxEvents"]) >= {world.conversation, MARKER}
    unauthenticated = await world.ada.http.post("/graphql", json={"query": foreign})
    assert "UNAUTHENTICATED" in unauthenticated.text
    assert world.found_in(unauthenticated.text) == set()


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("name", [*QUERIES, *MUTATIONS])
async def test_unauthenticated_requests_see_and_change_nothing(
    world: World, database: Database, name: str, token: str | None
):
    before = await state(database, world)
    kind, cases = ("query", QUERIES) if name in QUERIES else ("mutation", MUTATIONS)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    for arguments in cases[name].arguments(world):
        body = {"query": Walk(SCHEMA).operation(kind, name, arguments)}
        answer = (await world.ada.http.post("/graphql", json=body, headers=headers)).json()
        if name == "viewer" and token is None:
            assert answer == {"data": {"viewer": None}}
            continue
        if name == "serverInfo":
            assert set(answer) == {"data"}
            continue
        assert answer["data"] is None or answer["data"] == {name: None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
        # The error must not reveal whether the object exists.
        assert world.found_in(answer) == set()
    assert await state(database, world) == before


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("name", SUBSCRIPTIONS)
async def test_unauthenticated_requests_receive_no_events(world: World, name: str, token: str | None):
    for arguments in SUBSCRIPTIONS[name].arguments(world):
        headers = {"accept": "text/event-stream"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        body = {"query": Walk(SCHEMA).operation("subscription", name, arguments)}
        response = await world.ada.http.post("/graphql", json=body, headers=headers)
        assert "UNAUTHENTICATED" in response.text
        assert "event: complete" in response.text
        assert world.found_in(response.text) == set()


async def test_objects_of_others_look_like_objects_that_do_not_exist(world: World):
    """Word for word, so that the two cannot be told apart."""
    absent = {
        world.conversation: NodeType.CONVERSATION.encode(uuid4()),
        world.message: NodeType.MESSAGE.encode(uuid4()),
        world.session: NodeType.SESSION.encode(uuid4()),
    }
    for kind, cases in (("query", QUERIES), ("mutation", MUTATIONS)):
        named = {"node", "nodes", "conversation", *MUTATIONS} - {"endOtherSessions", "createConversation"}
        for name in named & cases.keys():
            for arguments in cases[name].arguments(world):
                foreign = Walk(SCHEMA).operation(kind, name, arguments)
                missing = foreign
                for given, other in absent.items():
                    missing = missing.replace(given, other)
                assert await world.eve.answer(foreign) == await world.eve.answer(missing)
