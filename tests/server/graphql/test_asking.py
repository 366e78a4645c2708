"""Requests by GET and POST, and those that are rejected before execution."""

import json
from typing import Any

import httpx
import pytest

from tests.server.graphql.asking import (
    AS_STREAM,
    BROWSER,
    EVENT_STREAM,
    URQL,
    VIEWER,
    executed,
    posts,
    refused,
)
from tests.support.clients import http_client
from tests.support.people import Person
from tests.support.serving import Server


async def test_a_query_can_be_sent_by_get(http: httpx.AsyncClient, ada: Person):
    params = {
        "query": f"query one {VIEWER} query two($name: String!) {{ user(username: $name) {{ username }} }}",
        "operationName": "two",
        "variables": json.dumps({"name": ada.username}),
        "extensions": "{}",
    }
    response = await http.get("/graphql", params=params, headers=ada.headers)
    assert executed(response) == {"user": {"username": ada.username}}
    params |= {"operationName": "one", "variables": "", "extensions": ""}
    assert executed(await http.get("/graphql", params=params, headers=ada.headers))["viewer"]


@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream"]
)
async def test_a_mutation_by_get_is_rejected(http: httpx.AsyncClient, ada: Person, accept: str):
    new_name = f"{ada.username}-2"
    mutation = 'mutation { updateProfile(input: {username: "%s"}) { user { username } } }'
    for query in (mutation, f"query harmless {VIEWER} {mutation.replace('mutation', 'mutation harmful', 1)}"):
        params = {"query": query.replace("%s", new_name)} | (
            {"operationName": "harmful"} if "harmful" in query else {}
        )
        response = await http.get("/graphql", params=params, headers={**ada.headers, "accept": accept})
        refused(response, 405)
        assert response.headers["allow"] == "POST"
    assert await ada.asks(VIEWER) == {"viewer": {"username": ada.username}}


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", URQL, "*/*"])
async def test_a_subscription_cannot_be_answered_with_json(http: httpx.AsyncClient, ada: Person, accept: str):
    asked = {"query": "subscription { messageCreated { cursor } }"}
    assert "text/event-stream" in refused(await posts(http, asked, accept, **ada.headers), 406)
    response = await http.get("/graphql", params=asked, headers={**ada.headers, "accept": accept})
    refused(response, 406)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"query": "{ viewer { id } }"',
        b'{"query": NaN}',
        b'{"query": "{ viewer { id } }", "variables": {"x": Infinity}}',
        [],
        [{"query": VIEWER}],
        "{ viewer { id } }",
        None,
        7,
        {},
        {"qeury": VIEWER},
        {"query": None},
        {"query": ""},
        {"query": 7},
        {"query": [VIEWER]},
        {"query": VIEWER, "variables": "{}"},
        {"query": VIEWER, "variables": [1]},
        {"query": VIEWER, "variables": 7},
        {"query": VIEWER, "variables": False},
        {"query": VIEWER, "operationName": 7},
        {"query": VIEWER, "operationName": {}},
        {"query": VIEWER, "extensions": "{}"},
        {"query": VIEWER, "extensions": []},
    ],
    ids=lambda body: repr(body)[:60],
)
@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream"]
)
async def test_a_malformed_post_is_rejected(http: httpx.AsyncClient, body: object, accept: str):
    refused(await posts(http, body, accept), 400)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"query": ""},
        {"operationName": "one"},
        {"query": VIEWER, "variables": "{"},
        {"query": VIEWER, "variables": "[]"},
        {"query": VIEWER, "variables": '"{}"'},
        {"query": VIEWER, "variables": '{"x": NaN}'},
        {"query": VIEWER, "extensions": "7"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream"]
)
async def test_a_malformed_get_is_rejected(http: httpx.AsyncClient, params: dict[str, str], accept: str):
    refused(await http.get("/graphql", params=params, headers={"accept": accept}), 400)


async def test_optional_parameters_can_be_null(http: httpx.AsyncClient):
    nothing = {"variables": None, "operationName": None, "extensions": None}
    assert executed(await posts(http, {"query": VIEWER, **nothing})) == {"viewer": None}
    given: dict[str, Any] = {
        "variables": {"unused": 1},
        "extensions": {"persistedQuery": {}},
        "somethingElse": 1,
    }
    assert executed(await posts(http, {"query": VIEWER, **given})) == {"viewer": None}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/graphql",
    ],
)
async def test_only_json_is_accepted(http: httpx.AsyncClient, content_type: str):
    refused(await posts(http, {"query": VIEWER}, **{"content-type": content_type}), 415)


async def test_a_body_over_the_limit_is_rejected(http: httpx.AsyncClient):
    most = 256 * 1024
    largest = json.dumps({"query": VIEWER}).encode().ljust(most)
    assert executed(await posts(http, largest)) == {"viewer": None}
    refused(await posts(http, largest + b" "), 413)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_not_allowed(http: httpx.AsyncClient, method: str, path: str):
    response = await http.request(method, path, params={"query": VIEWER})
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "PUT", "DELETE"}
    refused(response, 405)


@pytest.mark.parametrize(
    "path", ["/", "/profile", "/graphql", "/health/live", "/health/ready", "/metrics", "/nowhere"]
)
async def test_head_is_answered_like_get_without_the_body(http: httpx.AsyncClient, path: str):
    for headers in ({"accept": BROWSER}, {"accept": "application/json"}):
        params = {"query": VIEWER} if path == "/graphql" and headers["accept"] != BROWSER else {}
        got = await http.get(path, headers=headers, params=params)
        head = await http.head(path, headers=headers, params=params)
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("content-type", "cache-control", "content-length"):
            # The metrics change from one request to the next.
            if (path, name) != ("/metrics", "content-length"):
                assert head.headers.get(name) == got.headers.get(name), name


async def test_head_opens_no_stream_and_has_no_effects(http: httpx.AsyncClient, ada: Person):
    params = {"query": "subscription { messageCreated { cursor } }"}
    head = await http.head("/graphql/stream", params=params, headers={**ada.headers, **AS_STREAM})
    assert (head.status_code, head.headers["content-type"]) == (200, EVENT_STREAM)
    assert "content-length" not in head.headers
    mutation = 'mutation { updateProfile(input: {avatarUrl: "https://a.example/"}) { userErrors { code } } }'
    assert (await http.head("/graphql", params={"query": mutation}, headers=ada.headers)).status_code == 405


@pytest.mark.parametrize(
    ("accept", "status"), [("application/json", 200), ("application/graphql-response+json", 400)]
)
async def test_a_persisted_query_is_answered_with_a_request_for_its_text(
    http: httpx.AsyncClient, accept: str, status: int
):
    """Apollo Client and urql look for this message or this code."""
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}}
    for response in (
        await posts(http, {"operationName": "V", "extensions": hashed}, accept),
        await http.get("/graphql", params={"extensions": json.dumps(hashed)}, headers={"accept": accept}),
    ):
        assert response.status_code == status
        [error] = response.json()["errors"]
        assert error["message"] == "PersistedQueryNotSupported"
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert executed(await posts(http, {"query": VIEWER, "extensions": hashed}, accept)) == {"viewer": None}


@pytest.mark.parametrize("depth", [200, 900, 970, 995, 1020, 1100, 9000])
async def test_json_that_is_nested_too_deeply_is_rejected(http: httpx.AsyncClient, ada: Person, depth: int):
    for opened, closed in (("[", "]"), ('{"a":', "}")):
        value = opened * depth + "1" * (opened != "[") + closed * depth
        document = '"query ($a: ID) { node(id: $a) { id } }"'
        body = f'{{"query": {document}, "variables": {{"a": {value}}}}}'
        for accept in ("application/json", "text/event-stream"):
            response = await posts(http, body.encode(), accept, **ada.headers)
            assert "nested too deeply" in refused(response, 400)


async def test_reasonably_nested_json_is_accepted(http: httpx.AsyncClient):
    body = {"query": VIEWER, "extensions": {"ours": json.loads("[" * 100 + "]" * 100)}}
    assert executed(await posts(http, body)) == {"viewer": None}
    # Brackets in strings do not count as levels.
    assert executed(await posts(http, {"query": VIEWER, "extensions": {"ours": "[{" * 4000}})) == {
        "viewer": None
    }


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/graphql/",
        "/graphql/nowhere",
        "/Graphql",
        "/auth",
        "/auth/nowhere",
        "/health",
        "/%00",
        "//graphql",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_is_a_404_in_json(server: Server, method: str, path: str):
    async with http_client() as http:
        response = await http.request(method, server.url + path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["code"] == "NOT_FOUND"


async def test_a_browser_at_an_unknown_address_gets_a_page_with_a_link_home(http: httpx.AsyncClient):
    page = await http.get("/nowhere", headers={"accept": BROWSER})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert '<a href="/">' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await http.post("/nowhere", headers={"accept": BROWSER})).json()["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/profile", "/conversations/Q29udmVyc2F0aW9uOjE%3D"])
async def test_an_extra_slash_redirects_to_the_page(http: httpx.AsyncClient, path: str):
    response = await http.get(f"{path}/?a=b", headers={"accept": BROWSER})
    assert (response.status_code, response.headers["location"]) == (308, f"{path}?a=b")
    assert (await http.get(path, headers={"accept": BROWSER})).status_code == 200


@pytest.mark.parametrize("path", ["/auth/refresh", "/health/live", "/metrics"])
async def test_an_unsupported_method_is_rejected_in_json(http: httpx.AsyncClient, path: str):
    response = await http.delete(path)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "BAD_USER_INPUT"
