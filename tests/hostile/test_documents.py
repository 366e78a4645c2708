"""Documents that are expensive or invalid."""

import json

import pytest
from graphql import get_introspection_query

from tests.hostile.sending import asks, codes, sends
from tests.support.people import Person


def selecting(what: str) -> str:
    return "{ " + what + " }"


def fragment(name: str, on: str, what: str) -> str:
    return f"fragment {name} on {on} {selecting(what)}"


def nested(opening: str, inside: str, closing: str, times: int) -> str:
    return opening * times + inside + closing * times


def levels(count: int) -> str:
    """Return a query with this many levels."""
    names = [("lastMessage", "conversation")[number % 2] for number in range(count - 2)]
    return selecting(" { ".join(['conversation(id: "x")', *names, "id"]) + " }" * (count - 1))


def levels_by_fragments(count: int) -> str:
    """Return a query with more than twice this many levels, with at most two in any definition."""
    links = [
        fragment(f"f{number}", "Conversation", f"lastMessage {{ conversation {{ ...f{number + 1} }} }}")
        for number in range(count)
    ]
    return " ".join(
        ['{ conversation(id: "x") { ...f0 } }', *links, fragment(f"f{count}", "Conversation", "id")]
    )


def chain(length: int, spreads: int) -> str:
    """Return a query whose fragments each spread the next one this many times."""
    links = [fragment(f"f{number}", "Query", f"...f{number + 1} " * spreads) for number in range(length)]
    return " ".join(["{ ...f0 }", *links, fragment(f"f{length}", "Query", "viewer { id }")])


def fragments_on_one_object(count: int) -> str:
    names = [f"f{number}" for number in range(count)]
    spreads = " ".join(f"...{name}" for name in names)
    return " ".join([selecting(spreads), *(fragment(name, "Query", "viewer { id }") for name in names)])


def mesh(count: int) -> str:
    """Return a query whose fragments all spread each other."""
    spreads = " ".join(f"...f{number}" for number in range(count))
    return " ".join(["{ ...f0 }", *(fragment(f"f{number}", "Query", spreads) for number in range(count))])


def aliases(count: int) -> str:
    return " ".join(f"a{number}: __typename" for number in range(count))


def tokens(count: int) -> str:
    """Return a query with this many tokens that asks for almost nothing."""
    return "{ nodes(ids: [%s]) @skip(if: true) { id } __typename }".replace("%s", '"x" ' * (count - 20))


def pages(size: str, count: int, also: str = "") -> str:
    """Return a query for nested pages of messages."""
    page = nested(f"messages{size} {{ edges {{ node {{ conversation {{ ", "id", " } } } }", count)
    variables = "($n: Int = 1)" if "$n" in size else ""
    return f'query {variables} {{ conversation(id: "x") {selecting(page)} {also} }}'


TYPES = (
    "__schema { types { name description fields { name description type { name ofType { name } }"
    " args { name description type { name ofType { name } } } } } }"
)

TOO_COMPLEX = {
    "16 levels": levels(16),
    "16 levels by fragments": levels_by_fragments(7),
    "2,000 braces": nested("{ viewer ", "", "}", 2000),
    "inline fragments in each other": selecting(nested("... { ", "viewer { id } ", "} ", 100)),
    "a list in 500 lists": selecting(f"nodes(ids: {nested('[', '1', ']', 500)}) {{ id }}"),
    "an object in 500 objects": selecting(f"user(username: {nested('{a: ', '1', '}', 500)}) {{ id }}"),
    "a type in 500 lists": f"query ($a: {nested('[', 'Int', ']', 500)}) {{ viewer {{ id }} }}",
    "a flood of brackets": "{ nodes(ids: " + "[" * 9000,
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
    "an alias of 1,001 characters": selecting("a" * 1001 + ": __typename"),
    "202 aliases by fragments": "{ ...f ...f } " + fragment("f", "Query", aliases(101)),
    "201 aliases in an unused fragment": "{ __typename } " + fragment("f", "Query", aliases(201)),
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
async def test_expensive_documents_are_rejected_before_execution(ada: Person, document: str):
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
    "an alias of 1,000 characters": selecting("a" * 1000 + ": __typename"),
    "200 directives": selecting("__typename @include(if: true) " * 200),
    "an introspection": get_introspection_query(input_value_deprecation=True, specified_by_url=True),
    "two pages without a size in each other": pages("", 2),
    "a hundred conversations with a hundred messages each": selecting(
        "conversations(first: 100) { edges { node { id otherParticipant { username }"
        " messages(last: 100) { edges { node { content createdAt author { username } } } } } } }"
    ),
}


@pytest.mark.parametrize("document", JUST_WITHIN.values(), ids=JUST_WITHIN.keys())
async def test_documents_just_within_the_limits_are_executed(ada: Person, document: str):
    response = await asks(ada, document)
    assert (response.status_code, codes(response)) == (200, set()), response.text[:300]


async def test_a_page_size_out_of_range_is_rejected_with_that_reason(ada: Person):
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
    "an unused fragment": "{ __typename } " + fragment("f", "User", "id " * 300),
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
    "nothing but brackets": "{" * 9000,
    "nothing but commas": "," * 200_000,
    "half a surrogate pair as a name": "{ viewer\ud800 { id } }",
}


@pytest.mark.parametrize("document", INVALID.values(), ids=INVALID.keys())
async def test_invalid_documents_are_rejected_with_a_reason(ada: Person, document: str):
    response = await asks(ada, document)
    assert response.status_code in {200, 400}
    assert codes(response) == {"BAD_USER_INPUT"}
    assert "data" not in response.json()
    # However many errors a document has, at most a hundred are reported.
    assert len(response.json()["errors"]) <= 101
    assert len(response.content) < 3 * len(document.encode(errors="replace")) + 50_000


async def test_unusual_values_in_a_document_are_accepted_unchanged(ada: Person):
    for username in ('"\\u0000"', '"""' + " \\n" * 50_000 + '"""', '"\\ud83d\\ude42"', f'"{"x" * 200_000}"'):
        response = await asks(ada, f"{{ user(username: {username}) {{ id }} }}")
        assert response.json() == {"data": {"user": None}}
    response = await asks(ada, f"{{ node(id: {'9' * 10_000}) {{ id }} }}")
    assert response.json() == {"data": {"node": None}}


async def test_hostile_operation_and_variable_names_are_handled(ada: Person):
    for name in ("\ud800", "\0", "a" * 100_000, "__proto__", "'; --", "\u202e"):
        assert (await asks(ada, "{ __typename }", {name: name})).json() == {"data": {"__typename": "Query"}}
        body = {"query": "query a { __typename }", "operationName": name, "extensions": {name: name}}
        assert codes(await sends(ada.http, json.dumps(body), ada.headers)) == {"BAD_USER_INPUT"}
