"""What nobody well-meaning sends: it costs little, breaks nothing, and tells nothing of our insides."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import get_introspection_query
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.conftest import SignIn, sign_in
from tests.people import Person
from tests.serving import Server, eventually

# What takes longer makes everybody else wait.
QUICK_SECONDS = 5

INSIDES = re.compile(
    r"Traceback|\.py\b|site-packages|SELECT |INSERT |UPDATE |(?i:sqlalchemy|asyncpg|postgres|strawberry)"
)


def harmless(response: httpx.Response) -> httpx.Response:
    """Accept an answer that is no failure of ours and shows nothing of our insides."""
    assert response.status_code < 500, response.text[:1000]
    assert '"INTERNAL"' not in response.text, response.text[:1000]
    assert INSIDES.search(response.text) is None, response.text[:1000]
    return response


async def sends(
    http: httpx.AsyncClient, content: bytes | str, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a body as it is."""
    async with asyncio.timeout(QUICK_SECONDS):
        sent = {"content-type": "application/json", **(headers or {})}
        return harmless(await http.post("/graphql", content=content, headers=sent))


async def asks(
    person: Person, document: str, variables: object = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a document by Python's own encoder: it escapes half surrogate pairs, which httpx cannot send."""
    body = json.dumps({"query": document, "variables": variables})
    return await sends(person.http, body, {**person.headers, **(headers or {})})


def codes(response: httpx.Response) -> set[str]:
    """Return the codes of an answer's errors."""
    return {error["extensions"]["code"] for error in response.json().get("errors", ())}


@pytest.fixture(autouse=True)
async def unharmed(server: Server, http: httpx.AsyncClient) -> AsyncGenerator[None]:
    """After each test the server answers as before, and has noted no fault of its own."""

    def faults() -> list[str]:
        lines = server.log_path.read_text().splitlines()
        return [line for line in lines if '"level": "error"' in line or '"level": "critical"' in line]

    before = len(faults())
    yield
    async with asyncio.timeout(QUICK_SECONDS):
        assert (await http.get("/health/ready")).json() == {"status": "ready"}
        answer = await http.post("/graphql", json={"query": "{ viewer { id } }"})
        assert answer.json() == {"data": {"viewer": None}}
    assert faults()[before:] == []


@pytest.fixture(scope="module")
async def ada(http: httpx.AsyncClient) -> Person:
    return await sign_in(http, "ada")


@dataclass(frozen=True)
class Conversation:
    """Two people, and the ids of their conversation and of a message in it."""

    ada: Person
    grace: Person
    id: str
    message: str


@pytest.fixture(scope="module")
async def conversation(http: httpx.AsyncClient) -> Conversation:
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    opened = await ada.opens_conversation_with(grace)
    message = await ada.sends("hello", to=opened)
    return Conversation(ada, grace, opened, message["id"])


# Documents


def selecting(what: str) -> str:
    return "{ " + what + " }"


def fragment(name: str, on: str, what: str) -> str:
    return f"fragment {name} on {on} {selecting(what)}"


def in_each_other(opening: str, inside: str, closing: str, times: int) -> str:
    return opening * times + inside + closing * times


def levels(count: int) -> str:
    """Return a query that is so many levels deep."""
    names = [("lastMessage", "conversation")[number % 2] for number in range(count - 2)]
    return selecting(" { ".join(['conversation(id: "x")', *names, "id"]) + " }" * (count - 1))


def levels_by_fragments(count: int) -> str:
    """Return a query of two levels more than twice as many, with no more than two in any definition."""
    links = [
        fragment(f"f{number}", "Conversation", f"lastMessage {{ conversation {{ ...f{number + 1} }} }}")
        for number in range(count)
    ]
    return " ".join(
        ['{ conversation(id: "x") { ...f0 } }', *links, fragment(f"f{count}", "Conversation", "id")]
    )


def chain(length: int, spreads: int) -> str:
    """Return a query whose fragments each spread the next one so many times."""
    links = [fragment(f"f{number}", "Query", f"...f{number + 1} " * spreads) for number in range(length)]
    return " ".join(["{ ...f0 }", *links, fragment(f"f{length}", "Query", "viewer { id }")])


def fragments_on_one_object(count: int) -> str:
    names = [f"f{number}" for number in range(count)]
    spreads = " ".join(f"...{name}" for name in names)
    return " ".join([selecting(spreads), *(fragment(name, "Query", "viewer { id }") for name in names)])


def mesh(count: int) -> str:
    """Return a query with fragments that all spread all."""
    spreads = " ".join(f"...f{number}" for number in range(count))
    return " ".join(["{ ...f0 }", *(fragment(f"f{number}", "Query", spreads) for number in range(count))])


def aliases(count: int) -> str:
    return " ".join(f"a{number}: __typename" for number in range(count))


def tokens(count: int) -> str:
    """Return a query of so many tokens that asks for almost nothing."""
    return "{ nodes(ids: [%s]) @skip(if: true) { id } __typename }".replace("%s", '"x" ' * (count - 20))


def pages(size: str, count: int, also: str = "") -> str:
    """Return a query for pages of messages in each other."""
    page = in_each_other(f"messages{size} {{ edges {{ node {{ conversation {{ ", "id", " } } } }", count)
    variables = "($n: Int = 1)" if "$n" in size else ""
    return f'query {variables} {{ conversation(id: "x") {selecting(page)} {also} }}'


TYPES = (
    "__schema { types { name description fields { name description type { name ofType { name } }"
    " args { name description type { name ofType { name } } } } } }"
)

TOO_COMPLEX = {
    "16 levels": levels(16),
    "16 levels by fragments": levels_by_fragments(7),
    "2,000 braces": in_each_other("{ viewer ", "", "}", 2000),
    "inline fragments in each other": selecting(in_each_other("... { ", "viewer { id } ", "} ", 100)),
    "a list in 500 lists": selecting(f"nodes(ids: {in_each_other('[', '1', ']', 500)}) {{ id }}"),
    "an object in 500 objects": selecting(f"user(username: {in_each_other('{a: ', '1', '}', 500)}) {{ id }}"),
    "a type in 500 lists": f"query ($a: {in_each_other('[', 'Int', ']', 500)}) {{ viewer {{ id }} }}",
    "a flood of brackets": "{ nodes(ids: " + "[" * 100_000,
    "a flood of comments": "#\n" * 60_000 + "{ __typename }",
    "5,001 tokens": tokens(5001),
    "fragments that double 13 times": chain(13, 2),
    "fragments that double 50 times": chain(50, 2),
    "fragments that multiply by ten": chain(9, 10),
    "a chain of 600 fragments": chain(600, 1),
    "300 fragments on one object": fragments_on_one_object(300),
    "one object 600 times": selecting("viewer { id } " * 600),
    "one field 4,990 times": selecting("__typename " * 4990),
    "201 aliases": selecting(aliases(201)),
    "10,000 aliases": selecting(aliases(10_000)),
    "202 aliases by fragments": "{ ...f ...f } " + fragment("f", "Query", aliases(101)),
    "201 aliases that nobody uses": "{ __typename } " + fragment("f", "Query", aliases(201)),
    "201 directives on a field": selecting("__typename " + "@include(if: true) " * 201),
    "201 directives on 201 fields": selecting("__typename @include(if: true) " * 201),
    "201 directives on an operation": "query " + "@a " * 201 + "{ __typename }",
    "201 directives on a fragment": "{ ...f } fragment f on Query " + "@a " * 201 + "{ __typename }",
    "201 directives on a variable": "query ($a: Int " + "@a " * 201 + ") { __typename }",
    "201 directives on a spread": "{ ...f " + "@a " * 201 + "} fragment f on Query { __typename }",
    "circular introspection": selecting(
        "__schema { types { fields { type { fields { type { fields { name } } } } } } }"
    ),
    "circular introspection by fragments": " ".join(
        [
            '{ __type(name: "Query") { ...f } }',
            fragment("f", "__Type", "fields { type { ...g } }"),
            fragment("g", "__Type", "interfaces { possibleTypes { name } }"),
        ]
    ),
    "150 introspections": selecting(" ".join(f"a{number}: {TYPES}" for number in range(150))),
    "pages in pages in pages": pages("(first: 100)", 3),
    "pages in pages in pages, backwards": pages("(last: 100)", 3),
    "pages whose size is a variable": pages("(last: $n)", 3),
    "pages whose size is null or a variable": pages("(first: null, last: $n)", 3),
    "pages paid for by a negative one": pages(
        "(first: 100)", 3, also="conversations(first: -2000000000) { edges { cursor } }"
    ),
}


@pytest.mark.parametrize("document", TOO_COMPLEX.values(), ids=TOO_COMPLEX.keys())
async def test_what_would_cost_too_much_is_refused_before_it_does(ada: Person, document: str):
    response = await asks(ada, document, {"n": 100})
    assert response.status_code == 400, response.text[:300]
    assert codes(response) == {"TOO_COMPLEX"}
    assert len(response.content) < 1000


JUST_WITHIN = {
    "15 levels": levels(15),
    "14 levels by fragments": levels_by_fragments(6),
    "5,000 tokens": tokens(5000),
    "100 fragments on one object": fragments_on_one_object(100),
    "a chain of 100 fragments": chain(100, 1),
    "fragments that double 10 times": chain(10, 2),
    "200 aliases": selecting(aliases(200)),
    "200 directives": selecting("__typename @include(if: true) " * 200),
    "an introspection": get_introspection_query(input_value_deprecation=True, specified_by_url=True),
    "two pages without a size in each other": pages("", 2),
    "a hundred conversations with a hundred messages each": selecting(
        "conversations(first: 100) { edges { node { id otherParticipant { username }"
        " messages(last: 100) { edges { node { content createdAt author { username } } } } } } }"
    ),
}


@pytest.mark.parametrize("document", JUST_WITHIN.values(), ids=JUST_WITHIN.keys())
async def test_what_is_just_within_the_limits_is_executed(ada: Person, document: str):
    response = await asks(ada, document)
    assert (response.status_code, codes(response)) == (200, set()), response.text[:300]


async def test_a_page_of_a_size_that_is_not_allowed_is_refused_for_that(ada: Person):
    for size in (-1, 0, 101, 2**31 - 1):
        response = await asks(ada, f"{{ conversations(first: {size}) {{ edges {{ cursor }} }} }}")
        assert (response.status_code, codes(response)) == (200, {"BAD_USER_INPUT"})


INVALID = {
    "a fragment in itself": "{ ...f } " + fragment("f", "Query", "...f"),
    "two fragments in each other": "{ ...f } "
    + fragment("f", "Query", "...g")
    + fragment("g", "Query", "...f"),
    "30 fragments that all spread all": mesh(30),
    "a fragment in itself by a field": '{ node(id: "x") { ...f } } '
    + fragment("f", "Conversation", "lastMessage { conversation { ...f } }"),
    "an unknown fragment": "{ ...f }",
    "a fragment that nobody uses": "{ __typename } " + fragment("f", "User", "id " * 300),
    "a fragment twice": "{ ...f } " + fragment("f", "Query", "__typename") * 2,
    "a fragment on something else": "{ ...f } " + fragment("f", "User", "id"),
    "a type definition": "{ __typename } type X { a: Int }",
    "an extension of the schema": "{ __typename } extend type Query { a: Int }",
    "two subscriptions in one": "subscription { a: messageCreated { cursor } b: messageCreated { cursor } }",
    "an introspecting subscription": "subscription { __typename }",
    "a thousand unknown fields": selecting(" ".join(f"viewr{number}" for number in range(1000))),
    "a thousand unknown arguments": selecting(
        "user(" + " ".join(f"a{number}: 1" for number in range(1000)) + ") { id }"
    ),
    "a thousand variables": "query ("
    + " ".join(f"$a{number}: Int" for number in range(1000))
    + ") { __typename }",
    "fields that cannot be one": selecting("viewer { " + "a: id a: username " * 90 + "}"),
    "a name of 200,000 letters": selecting("a" * 200_000),
    "an integer of 10,000 digits": selecting(f'searchUsers(search: "a", first: {"9" * 10_000}) {{ id }}'),
    "such an integer by default": f"query ($a: Int! = {'9' * 10_000})"
    ' { searchUsers(search: "a", first: $a) { id } }',
    "an infinite number": '{ searchUsers(search: "a", first: 1e400) { id } }',
    "half a surrogate pair": '{ user(username: "\\ud800") { id } }',
    "no code point": '{ user(username: "\\u{110000}") { id } }',
    "a NUL": "{ viewer\0 { id } }",
    "a string without end": '{ user(username: """' + "\\n " * 50_000,
    "nothing but brackets": "{" * 10_000,
    "nothing but commas": "," * 200_000,
    "half a surrogate pair as a name": "{ viewer\ud800 { id } }",
}


@pytest.mark.parametrize("document", INVALID.values(), ids=INVALID.keys())
async def test_what_is_no_valid_document_is_refused_with_its_reason(ada: Person, document: str):
    response = await asks(ada, document)
    assert response.status_code in {200, 400}
    assert codes(response) == {"BAD_USER_INPUT"}
    assert "data" not in response.json()
    # However many faults a document has, it is told of no more than a hundred.
    assert len(response.json()["errors"]) <= 101
    assert len(response.content) < 3 * len(document.encode(errors="replace")) + 50_000


async def test_odd_values_in_a_document_are_taken_as_they_are(ada: Person):
    for username in ('"\\u0000"', '"""' + " \\n" * 50_000 + '"""', '"\\ud83d\\ude42"', f'"{"x" * 200_000}"'):
        response = await asks(ada, f"{{ user(username: {username}) {{ id }} }}")
        assert response.json() == {"data": {"user": None}}
    response = await asks(ada, f"{{ node(id: {'9' * 10_000}) {{ id }} }}")
    assert response.json() == {"data": {"node": None}}


async def test_names_from_outside_the_document_do_no_harm(ada: Person):
    for name in ("\ud800", "\0", "a" * 100_000, "__proto__", "'; --", "\u202e"):
        assert (await asks(ada, "{ __typename }", {name: name})).json() == {"data": {"__typename": "Query"}}
        body = {"query": "query a { __typename }", "operationName": name, "extensions": {name: name}}
        assert codes(await sends(ada.http, json.dumps(body), ada.headers)) == {"BAD_USER_INPUT"}


# Arguments


@dataclass(frozen=True)
class Call:
    """A field of the API with its arguments as variables, and good values for those that it must have."""

    operation: str
    field: str
    document: str
    arguments: Mapping[str, Any]
    good: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a value goes in a call's variables: an argument, a field of an input in it, an item of a list."""

    call: Call
    path: tuple[str | int, ...]
    type_name: str

    def variables(self, value: object) -> dict[str, Any]:
        """Return the call's good values, but for the one here."""
        variables = deepcopy(self.call.good)
        into: Any = variables
        for step in self.path[:-1]:
            into = into[step]
        into[self.path[-1]] = value
        return variables


@dataclass(frozen=True)
class Api:
    """The schema as a client learns it, and values that are good for its arguments, by their names."""

    types: Mapping[str, Any]
    roots: Mapping[str, str]
    good: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def calls(self) -> Iterator[Call]:
        """Yield every root field, and every field with arguments that can be reached from one."""
        seen: set[str] = set()
        waiting = [(operation, name, "", "") for operation, name in self.roots.items()]
        while waiting:
            operation, type_name, before, after = waiting.pop(0)
            seen.add(type_name)
            for each in self.types[type_name]["fields"]:
                arguments = {argument["name"]: argument for argument in each["args"]}
                good = {name: self.example(one) for name, one in arguments.items() if _is_required(one)}
                kind = _named(each["type"])
                is_object = kind["kind"] in {"OBJECT", "INTERFACE", "UNION"}
                if arguments or not before:
                    declared = " ".join(_declared(one) for one in arguments.values())
                    passed = " ".join(f"{name}: ${name}" for name in arguments)
                    head = f"{operation} ({declared})" if arguments else operation
                    call = each["name"] + (f"({passed})" if arguments else "")
                    end = " { __typename }" if is_object else ""
                    document = f"{head} {{ {before}{call}{end}{after} }}"
                    yield Call(operation, each["name"], document, arguments, good)
                if is_object and kind["name"] not in seen and operation == "query":
                    literal = ", ".join(f"{name}: {json.dumps(value)}" for name, value in good.items())
                    here = each["name"] + (f"({literal})" if literal else "")
                    waiting.append((operation, kind["name"], f"{before}{here} {{ ", f" }}{after}"))

    def places(self) -> Iterator[Place]:
        """Yield every argument of every call, and what is in those that are inputs or lists."""
        for call in self.calls():
            for name, argument in call.arguments.items():
                yield from self._places_in(call, (name,), argument["type"])

    def _places_in(self, call: Call, path: tuple[str | int, ...], kind: Mapping[str, Any]) -> Iterator[Place]:
        yield Place(call, path, _named(kind)["name"])
        if kind["kind"] == "NON_NULL":
            kind = kind["ofType"]
        if kind["kind"] == "LIST":
            yield Place(call, (*path, 0), _named(kind)["name"])
        if kind["kind"] == "INPUT_OBJECT":
            for each in self.types[kind["name"]]["inputFields"]:
                yield from self._places_in(call, (*path, each["name"]), each["type"])

    def example(self, argument: Mapping[str, Any]) -> Any:
        """Return a good value for an argument or a field of an input."""
        name, kind = argument["name"], _named(argument["type"])
        if name in self.good:
            return self.good[name]
        if kind["kind"] == "INPUT_OBJECT":
            inputs = self.types[kind["name"]]["inputFields"]
            return {each["name"]: self.example(each) for each in inputs if each["name"] in self.good}
        return {"Int": 1, "Boolean": False}.get(kind["name"], "x")


def _named(kind: Mapping[str, Any]) -> Mapping[str, Any]:
    return _named(kind["ofType"]) if kind["ofType"] else kind


def _spelt(kind: Mapping[str, Any]) -> str:
    if kind["kind"] == "NON_NULL":
        return _spelt(kind["ofType"]) + "!"
    return f"[{_spelt(kind['ofType'])}]" if kind["kind"] == "LIST" else kind["name"]


def _declared(argument: Mapping[str, Any]) -> str:
    default = "" if argument["defaultValue"] is None else f" = {argument['defaultValue']}"
    return f"${argument['name']}: {_spelt(argument['type'])}{default}"


def _is_required(argument: Mapping[str, Any]) -> bool:
    return argument["type"]["kind"] == "NON_NULL" and argument["defaultValue"] is None


@pytest.fixture
async def api(http: httpx.AsyncClient, conversation: Conversation) -> Api:
    query = """
        {
            __schema {
                queryType { name } mutationType { name } subscriptionType { name }
                types {
                    kind name
                    fields { name type { ...type } args { name defaultValue type { ...type } } }
                    inputFields { name defaultValue type { ...type } }
                }
            }
        }
        fragment type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
    """
    schema = (await http.post("/graphql", json={"query": query})).json()["data"]["__schema"]
    for kind in schema["types"]:
        for each in kind["fields"] or ():
            _close(each["type"])
            for argument in each["args"]:
                _close(argument["type"])
        for each in kind["inputFields"] or ():
            _close(each["type"])
    return Api(
        {kind["name"]: kind for kind in schema["types"]},
        {name: schema[f"{name}Type"]["name"] for name in ("query", "mutation", "subscription")},
        {
            "id": conversation.id,
            "ids": [conversation.id, conversation.message],
            "conversationId": conversation.id,
            "sessionId": NodeType.SESSION.encode(uuid4()),
            "upToMessageId": conversation.message,
            "content": "hello",
            "username": conversation.grace.username,
            "search": conversation.grace.username,
        },
    )


def _close(kind: dict[str, Any]) -> None:
    """Add the end that the introspection leaves out."""
    if kind.setdefault("ofType", None):
        _close(kind["ofType"])


TEXTS = (
    "",
    " ",
    "a\0b",
    "\ud800",
    "\ude42\ud83d",
    "x" * 50_000,
    "🙂",
    "%",
    "\\",
    "'; --",
    "\r\n\x85\u2028\u202e\ufeff",
    "\u0661",
    "C" + "A" * 22,
    "U" + "=" * 22,
    "M" + "é" * 22,
    "OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
    "LTE=",
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**31,
    10**300,
    1.5,
    1e308,
    [],
    [[None]],
    ["x"] * 1000,
    {},
    {"a": {"b": []}},
)


async def first_of(stream: Any) -> httpx.Response:
    """Return an answer with what comes first of it: a subscription's does not end by itself."""
    async with asyncio.timeout(QUICK_SECONDS), stream as response:
        chunk = await anext(response.aiter_bytes())
        return harmless(httpx.Response(response.status_code, headers=response.headers, content=chunk))


async def calls(person: Person, call: Call, variables: Mapping[str, Any]) -> httpx.Response:
    if call.operation != "subscription":
        return await asks(person, call.document, variables)
    body = json.dumps({"query": call.document, "variables": variables})
    headers = {**person.headers, "accept": "text/event-stream", "content-type": "application/json"}
    return await first_of(person.http.stream("POST", "/graphql", content=body, headers=headers))


async def test_no_value_of_any_argument_does_harm(api: Api, conversation: Conversation):
    """Half surrogate pairs, NUL, foreign scripts, long texts, wrong types: in every place of the schema."""
    limit = asyncio.Semaphore(16)

    async def tries(place: Place, value: object) -> None:
        async with limit:
            response = await calls(conversation.ada, place.call, place.variables(value))
            assert response.status_code == 200, (place.path, value)

    places = [*api.places()]
    assert {place.type_name for place in places} >= {"ID", "String", "Int", "Boolean", "CreateMessageInput"}
    assert {place.call.operation for place in places} == {"query", "mutation", "subscription"}
    assert {"messages", "createMessage", "messageCreated"} <= {place.call.field for place in places}
    async with asyncio.TaskGroup() as tasks:
        for place in places:
            texts = TEXTS if place.type_name in {"ID", "String"} else TEXTS[:1]
            for value in (*texts, *OTHERS):
                tasks.create_task(tries(place, value))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}], ids=["nobody", "a wrong token"])
async def test_nobody_is_told_to_sign_in_whatever_they_ask(
    api: Api, conversation: Conversation, headers: dict[str, str]
):
    http = conversation.ada.http
    asked: set[str] = set()
    for call in api.calls():
        body = json.dumps({"query": call.document, "variables": call.good})
        is_stream = call.operation == "subscription"
        accept = "text/event-stream" if is_stream else "application/json"
        text = (await sends(http, body, {**headers, "accept": accept})).text
        answer = json.loads(text.split("data: ", 1)[1].split("\n")[0] if is_stream else text)
        found = {error["extensions"]["code"] for error in answer.get("errors", ())}
        expected: set[str] = set() if call.field == "viewer" and not headers else {"UNAUTHENTICATED"}
        assert (call.field, found) == (call.field, expected)
        assert answer["data"] is None or set(answer["data"].values()) == {None}
        asked.add(call.field)
    assert asked >= {"viewer", "nodes", "messages", "createMessage", "messageCreated"}


async def test_a_stranger_sees_null_by_every_path_to_what_is_not_theirs(
    api: Api, conversation: Conversation, signs_in: SignIn
):
    eve = await signs_in("eve")
    tried: set[str] = set()
    for call in api.calls():
        places = [
            name for name, argument in call.arguments.items() if _named(argument["type"])["name"] == "ID"
        ]
        if call.operation != "query" or not places:
            continue
        own = (await asks(conversation.ada, call.document, call.good)).json()["data"]
        assert None not in (own[call.field] if isinstance(own[call.field], list) else [own[call.field]])
        for foreign in (conversation.id, conversation.message):
            for name in places:
                is_list = _spelt(call.arguments[name]["type"]).startswith("[")
                variables = {**call.good, name: [foreign] if is_list else foreign}
                response = await asks(eve, call.document, variables)
                nothing = [None] if is_list else None
                assert response.json() == {"data": {call.field: nothing}}
                tried.add(call.field)
    assert tried >= {"node", "nodes", "conversation"}


async def test_a_stranger_changes_nothing_by_any_path_to_what_is_not_theirs(
    api: Api, conversation: Conversation, signs_in: SignIn, database: Database
):
    eve = await signs_in("eve")
    unread = "query ($id: ID!) { conversation(id: $id) { unreadCount } }"
    before = (
        await stored_in(database, conversation),
        await conversation.grace.asks(unread, id=conversation.id),
    )
    tried: set[str] = set()
    for call in api.calls():
        if call.operation != "mutation" or "conversationId" not in json.dumps(call.good):
            continue
        document = call.document.replace("{ __typename }", "{ userErrors { code path } __typename }")
        answer = (await asks(eve, document, call.good)).json()
        [error] = answer["data"][call.field]["userErrors"]
        assert error == {"code": "NOT_FOUND", "path": ["input", "conversationId"]}
        tried.add(call.field)
    assert tried >= {"createMessage", "readMessages"}
    after = await stored_in(database, conversation), await conversation.grace.asks(unread, id=conversation.id)
    assert after == before


# Messages


async def stored_in(database: Database, conversation: Conversation) -> list[str]:
    """Return what the database holds of a conversation."""
    key = NodeType.CONVERSATION.decode(conversation.id)
    statement = select(messages.c.content).where(messages.c.conversation_id == key).order_by(messages.c.seq)
    async with database.snapshot() as connection:
        return [*(await connection.scalars(statement)).all()]


SEND = """
    mutation ($input: CreateMessageInput!) {
        createMessage(input: $input) { message { id content } userErrors { code path } }
    }
"""


async def tries_to_send(person: Person, content: str, to: object, **more: str) -> Any:
    """Return the message, or the error's code and the field that it blames."""
    answer = await asks(person, SEND, {"input": {"conversationId": to, "content": content, **more}})
    assert codes(answer) == set()
    payload = answer.json()["data"]["createMessage"]
    if payload["message"] is not None:
        assert payload["userErrors"] == []
        return payload["message"]
    [error] = payload["userErrors"]
    assert error["path"][0] == "input"
    return error["code"], *error["path"][1:]


FAMILY = "👩\u200d👩\u200d👧"
LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
SPACES = "".join(char for char in map(chr, range(0x110000)) if char.isspace() and char not in LINE_BREAKS)


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("x" * 480, "x" * 480),
        ("🙂" * 480, "🙂" * 480),
        (FAMILY * 96, FAMILY * 96),
        ("e\u0301" * 240, "e\u0301" * 240),
        (" \n" * 5000 + "x" * 480 + "\t" * 5000, "x" * 480),
        ("a" + " " * 5000 + "b", "a b"),
        ("  one \t two \r\n\r\n \n  three  \n", "one two\nthree"),
        ("".join(f"a{char}b " for char in SPACES), " ".join(["a b"] * len(SPACES))),
        ("".join(f"a{char}" for char in LINE_BREAKS), "\n".join("a" * len(LINE_BREAKS))),
        ("\u200b", "\u200b"),
        ("\ufeff\u202e\u2060", "\ufeff\u202e\u2060"),
        ("\x01\x1b[31m\x7f", "\x01\x1b[31m\x7f"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("'; DROP TABLE messages; --", "'; DROP TABLE messages; --"),
        ("\U0010ffff\ufffe", "\U0010ffff\ufffe"),
    ],
)
async def test_a_message_is_stored_with_its_white_space_in_order(
    conversation: Conversation, database: Database, content: str, stored: str
):
    before = await stored_in(database, conversation)
    message = await tries_to_send(conversation.ada, content, conversation.id)
    assert message["content"] == stored
    assert await stored_in(database, conversation) == [*before, stored]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("x" * 481, "TOO_LONG"),
        ("🙂" * 481, "TOO_LONG"),
        (FAMILY * 96 + "x", "TOO_LONG"),
        ("x" * 200_000, "TOO_LONG"),
        ("\n".join("x" * 241), "TOO_LONG"),
        ("", "BLANK"),
        (" " * 10_000, "BLANK"),
        (SPACES + LINE_BREAKS, "BLANK"),
        ("\0", "INVALID"),
        ("hello\0", "INVALID"),
        ("\ud83d", "INVALID"),
        ("hello \ude42", "INVALID"),
        ("\ude42\ud83d", "INVALID"),
        ("\0" + "x" * 481, "INVALID"),
    ],
)
async def test_a_message_that_cannot_be_stored_is_refused_and_nothing_is_stored(
    conversation: Conversation, database: Database, content: str, code: str
):
    before = await stored_in(database, conversation)
    assert await tries_to_send(conversation.ada, content, conversation.id) == (code, "content")
    assert await stored_in(database, conversation) == before


async def test_two_escaped_halves_of_a_surrogate_pair_are_one_character(conversation: Conversation):
    variables = '{"input": {"conversationId": "%s", "content": "\\ud83d\\ude42"}}'.replace(
        "%s", conversation.id
    )
    body = f'{{"query": {json.dumps(SEND)}, "variables": {variables}}}'
    answer = (await sends(conversation.ada.http, body, conversation.ada.headers)).json()
    assert answer["data"]["createMessage"]["message"]["content"] == "🙂"


async def test_a_key_that_is_no_uuid_is_refused_and_nothing_is_stored(
    conversation: Conversation, database: Database
):
    before = await stored_in(database, conversation)
    key = str(uuid4())
    for wrong in (
        "",
        "x",
        key[:-1],
        key + "0",
        f" {key}",
        f"{{{key}}}",
        f"urn:uuid:{key}",
        key[:-3] + "g00",
        "+" + key.replace("-", "")[1:],
        "0x" + key.replace("-", "")[2:],
        "1_" * 16,
        "\u0661" * 32,
        "\0" * 32,
        "\ud800" * 32,
        "7" * 100_000,
    ):
        refused = await tries_to_send(conversation.ada, "once", conversation.id, idempotencyKey=wrong)
        assert refused == ("INVALID", "idempotencyKey"), wrong[:100]
    assert await stored_in(database, conversation) == before


async def test_a_key_is_for_one_text_in_one_conversation_of_one_author(
    conversation: Conversation, signs_in: SignIn, database: Database
):
    ada, key = conversation.ada, str(uuid4())
    before = await stored_in(database, conversation)
    other = await ada.opens_conversation_with(await signs_in("barbara"))
    first = await tries_to_send(ada, "once", conversation.id, idempotencyKey=key)
    again = await tries_to_send(ada, " once\n", conversation.id, idempotencyKey=key.upper())
    assert again == first
    taken = ("INVALID", "idempotencyKey")
    assert await tries_to_send(ada, "twice", conversation.id, idempotencyKey=key) == taken
    assert await tries_to_send(ada, "once", other, idempotencyKey=key) == taken
    assert await tries_to_send(ada, "once", "nowhere", idempotencyKey=key) == ("NOT_FOUND", "conversationId")
    of_grace = await tries_to_send(conversation.grace, "once", conversation.id, idempotencyKey=key)
    assert of_grace["id"] != first["id"]
    assert await stored_in(database, conversation) == [*before, "once", "once"]


async def test_what_is_no_conversation_of_ones_own_takes_no_message(
    conversation: Conversation, signs_in: SignIn, database: Database
):
    async with database.snapshot() as connection:
        before = await connection.scalar(select(func.count()).select_from(messages))
    ada, eve = conversation.ada, await signs_in("eve")
    user = (await eve.asks("{ viewer { id } }"))["viewer"]["id"]
    nowhere: list[object] = [
        conversation.message,
        user,
        NodeType.CONVERSATION.encode(uuid4()),
        f"{conversation.id}=",
        f" {conversation.id}",
        f"{conversation.id}\n",
        conversation.id[:-1],
        conversation.id[1:],
        f"M{conversation.id[1:]}",
        conversation.id.lower(),
        "C",
        "",
        "\0",
        "\ud800",
        "C" * 100_000,
        7,
        str(uuid4()),
    ]
    for person, places in ((ada, nowhere), (eve, [conversation.id, *nowhere])):
        for place in places:
            refused = await tries_to_send(person, "hello", place)
            assert refused == ("NOT_FOUND", "conversationId"), place
    async with database.snapshot() as connection:
        assert await connection.scalar(select(func.count()).select_from(messages)) == before


# Bodies and headers


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b"\x80",
        b'{"query": "\xc3\x28"}',
        b'{"query": "\xed\xa0\x80"',
        b"\x00" * 1000,
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"query":' * 20_000,
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 100_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": -Infinity}}',
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": 01}}',
        b'{"query": "{ __typename }",}',
        b"{'query': '{ __typename }'}",
        b'{"query": "\n"}',
        b'{"query": "{ __typename }"}\x00',
        b"query=%7B__typename%7D",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_body_that_is_not_json_is_refused(http: httpx.AsyncClient, body: bytes):
    response = await sends(http, body)
    assert (response.status_code, codes(response)) == (400, {"BAD_USER_INPUT"})


async def test_variables_may_be_as_deep_as_they_like(ada: Person):
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    for depth in (10, 100, 500, 900):
        ids = json.loads("[" * depth + "]" * depth)
        assert codes(await asks(ada, query, {"ids": ids})) == {"BAD_USER_INPUT"}
        assert (await asks(ada, "{ __typename }", {"unused": ids})).json()["data"]
    floods: list[list[Any]] = [[None] * 20_000, [[]] * 20_000, ["x"] * 20_000]
    for flood in floods:
        assert codes(await asks(ada, query, {"ids": flood})) == {"BAD_USER_INPUT"}


@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "zstd", "deflate", "x-unknown", "identity, gzip", "gzip, gzip"]
)
async def test_a_body_in_an_encoding_is_refused(http: httpx.AsyncClient, encoding: str):
    response = await sends(http, b'{"query": "{ __typename }"}', {"content-encoding": encoding})
    assert (response.status_code, codes(response)) == (415, {"BAD_USER_INPUT"})


@pytest.mark.parametrize(
    "name",
    [
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-type",
        "cookie",
        "host",
        "last-event-id",
        "origin",
        "sec-fetch-site",
        "x-forwarded-for",
        "x-graphql-event-stream-token",
        "x-request-id",
    ],
)
async def test_no_value_of_any_header_does_harm(http: httpx.AsyncClient, name: str):
    for value in (
        b"",
        b",",
        b";",
        b"=",
        b'"',
        b"\\",
        b"\xff\xfe",
        b"\xc3\xa9",
        b"*/*;q=nan, */*;q=1e400, ;q=, */*;q=-1;q=2",
        b"application/json;" * 3000,
        b"a," * 20_000,
        b"Bearer",
        b"Bearer a b c",
        b"bearer \xf0\x9f\x99\x82",
        b"Basic Og==",
        b"messenger-session",
        b"messenger-session=",
        b"messenger-session=\xff; messenger-session=a; =; ;;",
        b"messenger-session=" + b"a" * 50_000,
        b"https://[::1",
        b"https://a@b:c",
        b"http://\xe2\x84\x80.example",
        b"[",
        b"[]:8000",
        b"text/event-stream",
        b"complete",
        b"gzip",
        b"' OR 1=1 --",
        b"${jndi:ldap://x}",
        b"a" * 60_000,
    ):
        headers = {b"content-type": b"application/json", name.encode(): value}
        async with asyncio.timeout(QUICK_SECONDS):
            body = b'{"query": "{ viewer { id } inboxCursor }"}'
            harmless(await http.post("/graphql", content=body, headers=headers))
            login = await http.post("/auth/dev/login", content=b'{"username": "-"}', headers=headers)
        assert harmless(login).status_code in {400, 403, 415}


async def test_a_cookie_that_is_hard_to_read_takes_no_time(http: httpx.AsyncClient):
    """The standard library takes seconds to undo as many escapes."""
    for value in ('"' + "\\" * 60_000 + '"', "\\" * 60_000, "=;" * 30_000):
        async with asyncio.timeout(2):
            headers = {"cookie": f"messenger-session={value}"}
            response = await http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
        assert response.json() == {"data": {"__typename": "Query"}}


# Bytes


HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"query": "{ __typename }"}'
END = b"\r\n\r\n"

# A connection that is closed while much is still under way may lose the answer.
CLOSED = 0

RAW = {
    "more than the length": (HEAD + b"Content-Length: 5" + END + BODY, {400}),
    "a negative length": (HEAD + b"Content-Length: -1" + END + BODY, {400}),
    "a length that is no number": (HEAD + b"Content-Length: 0x1b" + END + BODY, {400}),
    "a length of 23 digits": (HEAD + b"Content-Length: " + b"9" * 23 + END + BODY, {400}),
    "two lengths": (HEAD + b"Content-Length: 27\r\nContent-Length: 28" + END + BODY, {400}),
    "a length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked" + END + b"0" + END,
        {400},
    ),
    "a chunk without a size": (HEAD + b"Transfer-Encoding: chunked" + END + b"zz\r\n" + BODY, {400}),
    "a chunk longer than its size": (HEAD + b"Transfer-Encoding: chunked" + END + b"5\r\n" + BODY, {400}),
    "a chunk of 2^68 bytes": (HEAD + b"Transfer-Encoding: chunked" + END + b"f" * 17 + b"\r\n" + BODY, {400}),
    "an unknown transfer encoding": (HEAD + b"Transfer-Encoding: gzip" + END + BODY, {400}),
    "bytes in the path that are not ASCII": (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost" + END, {400}),
    "a path out of the folder": (
        b"GET /assets/../../../settings.py HTTP/1.1\r\nHost: localhost" + END,
        {404},
    ),
    "such a path in escapes": (
        b"GET /assets/%2e%2e%2f%2e%2e%2f%2e%2e%2fsettings.py HTTP/1.1\r\nHost: x" + END,
        {404},
    ),
    "such a path, compressed": (
        b"GET /graphiql/assets/..%2findex.html HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip" + END,
        {404},
    ),
    "NUL in the path": (b"GET /assets/%00 HTTP/1.1\r\nHost: localhost" + END, {404}),
    "NUL in the path, compressed": (
        b"GET /assets/%00 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip" + END,
        {404},
    ),
    "escapes that are no UTF-8": (b"GET /%ff%c3%28 HTTP/1.1\r\nHost: localhost" + END, {404}),
    "a query that is no UTF-8": (b"GET /graphql?query=%ff%00&variables=%c3 HTTP/1.1\r\nHost: x" + END, {400}),
    "NUL in a header": (GET + b"Accept: a\x00b" + END, {400}),
    "a folded header": (GET + b"Accept: a\r\n b" + END, {400}),
    "a header without a name": (GET + b": a" + END, {400}),
    "a header with a space in its name": (GET + b"Ac cept: a" + END, {400}),
    "line feeds alone": (b"GET /health/live HTTP/1.1\nHost: localhost\n\n", {200, 400}),
    "an unknown method": (b"FROB /graphql HTTP/1.1\r\nHost: localhost" + END, {400}),
    "a method that we do not have": (b"PROPFIND /graphql HTTP/1.1\r\nHost: localhost" + END, {405}),
    "a tunnel": (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost" + END, {400}),
    "the server as a whole": (b"OPTIONS * HTTP/1.1\r\nHost: localhost" + END, {404}),
    "another server": (b"GET http://evil.example/nowhere HTTP/1.1\r\nHost: localhost" + END, {404}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM" + END, {400}),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\nHost: localhost" + END, {400, 505}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, {400}),
    "NULs": (b"\x00" * 10_000, {400}),
    "line breaks": (b"\r\n" * 10_000 + GET + END, {200, 400}),
    "a WebSocket": (
        GET.replace(b"/health/live", b"/graphql")
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" + END,
        {400, 426},
    ),
    "a header of 70,000 bytes": (GET + b"X: " + b"a" * 70_000 + END, {431}),
    "8,000 headers": (GET + b"".join(b"X-%d: a\r\n" % number for number in range(8_000)) + b"\r\n", {431}),
    "a cookie of 10 million backslashes": (GET + b"Cookie: a=" + b"\\" * 10_000_000 + END, {431, CLOSED}),
    "a header without end": (GET + b"X: " + b"a" * 10_000_000, {431, CLOSED}),
    "a path of 100,000 bytes": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x" + END, {400, 414, 431}),
}


async def raw_answer(server: Server, sent: bytes) -> bytes:
    """Send bytes and return what comes first; nothing, where the server only closes the connection."""
    async with asyncio.timeout(QUICK_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(sent)
            return await reader.read(65536)
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


@pytest.mark.parametrize(("sent", "statuses"), RAW.values(), ids=RAW.keys())
async def test_bytes_that_are_no_proper_request_are_answered_and_no_more(
    server: Server, sent: bytes, statuses: set[int]
):
    answer = await raw_answer(server, sent)
    status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert (int(status[1]) if status else CLOSED) in statuses, answer[:200]
    assert INSIDES.search(answer.decode("latin-1")) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST",
        HEAD,
        HEAD + b"Content-Length: 1000" + END + BODY,
        HEAD + b"Transfer-Encoding: chunked" + END + b"1b\r\n" + BODY + b"\r\n",
        HEAD + b"Expect: 100-continue\r\nContent-Length: 1000" + END,
    ],
    ids=["nothing", "a word", "half a head", "half a body", "half the chunks", "a promise"],
)
async def test_who_leaves_in_the_middle_leaves_nothing_behind(server: Server, sent: bytes):
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(QUICK_SECONDS):
            assert INSIDES.search((await reader.read()).decode("latin-1")) is None
        writer.close()
    # The one is that which asks.
    await eventually(lambda: server.metric("messenger_http_requests_in_progress") == 1)


# Anything

KEYS = st.sampled_from(["query", "variables", "operationName", "extensions", "id", "input", "a"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=4),
    max_leaves=20,
)
WORDS = st.sampled_from(
    [
        *"{}()[]:=!|&$@",
        *"{}{}(){}",
        "...",
        '"x"',
        '"""x"""',
        "1",
        "-1.5e3",
        "true",
        "null",
        "# x\n",
        ",",
        "query",
        "mutation",
        "subscription",
        "fragment",
        "on",
        "f",
        "Query",
        "User",
        "Conversation",
        "viewer",
        "node",
        "id",
        "conversations",
        "first",
        "messages",
        "edges",
        "__typename",
        "__schema",
        "types",
        "name",
        "include",
        "if",
        "\u2028",
        "é",
    ]
)
OFTEN = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@OFTEN
@given(ANYTHING)
async def test_any_json_is_answered(http: httpx.AsyncClient, body: Any):
    response = await sends(http, json.dumps(body))
    assert response.status_code in {200, 400}
    assert codes(response) <= {"BAD_USER_INPUT", "UNAUTHENTICATED", "TOO_COMPLEX"}


@OFTEN
@given(st.lists(WORDS, max_size=40).map(" ".join), ANYTHING)
async def test_any_document_is_answered(http: httpx.AsyncClient, document: str, variables: Any):
    response = await sends(http, json.dumps({"query": document, "variables": variables}))
    assert response.status_code in {200, 400}
    assert codes(response) <= {"BAD_USER_INPUT", "UNAUTHENTICATED", "TOO_COMPLEX"}


@OFTEN
@given(st.binary(max_size=200))
async def test_any_bytes_are_answered(http: httpx.AsyncClient, body: bytes):
    response = await sends(http, body)
    assert response.status_code == 400
    assert codes(response) == {"BAD_USER_INPUT"}
