"""What may be asked by GET and POST, and what is refused before it is executed."""

import json
from typing import Any

import httpx
import pytest

from tests.people import Person
from tests.requests.asking import URQL, VIEWER, executed, posts, refused
from tests.serving import Server


async def test_a_query_may_be_asked_by_get(http: httpx.AsyncClient, ada: Person):
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
async def test_a_get_changes_nothing(http: httpx.AsyncClient, ada: Person, accept: str):
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
async def test_a_subscription_cannot_be_one_answer(http: httpx.AsyncClient, ada: Person, accept: str):
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
async def test_a_malformed_post_is_refused(http: httpx.AsyncClient, body: object, accept: str):
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
async def test_a_malformed_get_is_refused(http: httpx.AsyncClient, params: dict[str, str], accept: str):
    refused(await http.get("/graphql", params=params, headers={"accept": accept}), 400)


async def test_what_may_be_left_out_may_be_null(http: httpx.AsyncClient):
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
async def test_only_json_is_read(http: httpx.AsyncClient, content_type: str):
    refused(await posts(http, {"query": VIEWER}, **{"content-type": content_type}), 415)


async def test_a_body_over_the_limit_is_refused(http: httpx.AsyncClient):
    most = 256 * 1024
    largest = json.dumps({"query": VIEWER}).encode().ljust(most)
    assert executed(await posts(http, largest)) == {"viewer": None}
    refused(await posts(http, largest + b" "), 413)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "HEAD", "PROPFIND"])
async def test_other_methods_are_not_allowed(http: httpx.AsyncClient, method: str, path: str):
    response = await http.request(method, path, params={"query": VIEWER})
    assert response.status_code == 405
    assert {"GET", "POST"} <= set(response.headers["allow"].split(", ")) <= {"GET", "POST", "PUT", "DELETE"}
    if method != "HEAD":
        refused(response, 405)


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
async def test_an_unknown_path_is_not_found_and_says_so_in_json(server: Server, method: str, path: str):
    async with httpx.AsyncClient() as http:
        response = await http.request(method, server.url + path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/auth/refresh", "/health/live", "/metrics"])
async def test_a_method_that_a_path_does_not_have_is_refused_in_json(http: httpx.AsyncClient, path: str):
    response = await http.delete(path)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "BAD_USER_INPUT"
