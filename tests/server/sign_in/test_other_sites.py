"""What pages of other sites can do, and what they cannot."""

import asyncio

import httpx
import pytest

from server.endpoints.reserved_requests import TOKEN_HEADER
from tests.conftest import SignIn
from tests.server.sign_in.signing_in import (
    FRONTEND,
    SECURE_COOKIE,
    VIEWER,
    a_name,
    bearer,
    cookie,
    log_in,
    post,
    refusal,
    token_for,
    viewer,
)
from tests.support.clients import http_client
from tests.support.people import PATIENCE_SECONDS
from tests.support.serving import Server

FROM_ANOTHER_SITE = {
    "with its origin": {"origin": "https://evil.example"},
    "on another port": {"origin": "http://localhost:1"},
    "as a sandboxed frame": {"origin": "null"},
    "with a broken origin": {"origin": "http://["},
    "by a link or an image": {"sec-fetch-site": "cross-site"},
    "from a sibling domain": {"sec-fetch-site": "same-site"},
    "with our host and its site": {"origin": "https://localhost", "sec-fetch-site": "cross-site"},
}


@pytest.mark.parametrize("headers", FROM_ANOTHER_SITE.values(), ids=FROM_ANOTHER_SITE.keys())
async def test_a_page_of_another_site_cannot_use_the_cookie(http: httpx.AsyncClient, headers: dict[str, str]):
    name = a_name()
    token = await token_for(http, name)
    subscription = "subscription { messageCreated { cursor } }"
    stream = {"accept": "text/event-stream"}
    used = headers | cookie(token)
    async with asyncio.timeout(PATIENCE_SECONDS):
        attempts = [
            await http.get("/graphql", params=VIEWER, headers=used),
            await http.get("/graphql", params={"query": subscription}, headers=used | stream),
            await http.get("/graphql/stream", params={"query": subscription}, headers=used | stream),
            await http.post("/graphql", json=VIEWER, headers=used),
            await http.post("/graphql", json={"query": subscription}, headers=used | stream),
        ]
    for response in attempts:
        assert response.status_code == 403, response.text
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == "CROSS_SITE"
        assert name not in response.text
    for path in ("/auth/refresh", "/auth/logout"):
        response = await post(http, path, used)
        assert refusal(response, 403) == "CROSS_SITE"
        assert "set-cookie" not in response.headers
    assert refusal(await log_in(http, a_name(), headers), 403) == "CROSS_SITE"
    assert await viewer(http, bearer(token)) == name


@pytest.mark.parametrize("headers", FROM_ANOTHER_SITE.values(), ids=FROM_ANOTHER_SITE.keys())
async def test_a_page_of_another_site_cannot_reserve_or_stop_streams(
    http: httpx.AsyncClient, headers: dict[str, str]
):
    token = await token_for(http, a_name())
    reserved = await http.put("/graphql/stream", headers=cookie(token))
    assert reserved.status_code == 201
    used = {**headers, **cookie(token), TOKEN_HEADER: reserved.text}
    attempts = [
        await http.put("/graphql/stream", headers={**headers, **cookie(token)}),
        await http.post("/graphql/stream", json={**VIEWER, "extensions": {"operationId": "1"}}, headers=used),
        await http.delete("/graphql/stream?operationId=1", headers=used),
        await http.get("/graphql/stream", headers={**used, "accept": "text/event-stream"}),
    ]
    for response in attempts:
        assert response.status_code == 403, response.text
        assert response.json()["errors"][0]["extensions"]["code"] == "CROSS_SITE"


async def test_the_graphiql_page_runs_only_its_own_scripts_and_cannot_be_framed(http: httpx.AsyncClient):
    page = await http.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 200
    directives = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert directives["base-uri"] == "'none'"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("headers", FROM_ANOTHER_SITE.values(), ids=FROM_ANOTHER_SITE.keys())
async def test_a_bearer_token_is_accepted_from_any_page(
    http: httpx.AsyncClient, signs_in: SignIn, headers: dict[str, str]
):
    ada = await signs_in("ada")
    # A browser adds the cookie automatically; the token in the header counts.
    used = headers | ada.headers | cookie("wrong")
    assert await viewer(http, used) == ada.username
    answer = await http.get("/graphql", params=VIEWER, headers=used)
    assert answer.json() == {"data": {"viewer": {"username": ada.username}}}
    async with ada.streaming("subscription { messageCreated { cursor } }", headers=headers) as stream:
        assert stream.response.status_code == 200
    new = (await post(http, "/auth/refresh", used)).json()["token"]
    assert (await post(http, "/auth/logout", headers | bearer(new))).status_code == 204


async def test_our_own_pages_and_direct_visits_can_use_the_cookie(http: httpx.AsyncClient, server: Server):
    name = a_name()
    token = await token_for(http, name)
    for headers in (
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": server.url},
        {"origin": f"http://localhost:{server.port}"},
        {"origin": server.url, "sec-fetch-site": "same-origin"},
    ):
        assert await viewer(http, headers | cookie(token)) == name, headers
        assert (await log_in(http, name, headers)).status_code == 200, headers


async def test_only_an_allowed_origin_can_send_requests_with_cookies(public_server: Server):
    async with http_client(public_server.url) as http:
        name = a_name()
        allowed = {"origin": FRONTEND, "sec-fetch-site": "cross-site"}
        signed_in = await log_in(http, name, allowed)
        assert signed_in.headers["access-control-allow-origin"] == FRONTEND
        token = signed_in.json()["token"]
        used = cookie(token, SECURE_COOKIE)

        response = await http.post("/graphql", json=VIEWER, headers=used | allowed)
        assert response.json() == {"data": {"viewer": {"username": name}}}
        assert response.headers["access-control-allow-origin"] == FRONTEND
        assert response.headers["access-control-allow-credentials"] == "true"
        assert "x-request-id" in response.headers["access-control-expose-headers"].lower()

        for origin in (
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "https://evil.example",
        ):
            others = {"origin": origin, "sec-fetch-site": "cross-site"}
            response = await http.post("/graphql", json=VIEWER, headers=used | others)
            assert response.status_code == 403
            assert "access-control-allow-origin" not in response.headers
            assert refusal(await log_in(http, name, others), 403) == "CROSS_SITE"


async def test_only_an_allowed_origin_passes_the_preflight(public_server: Server):
    wanted = "authorization, content-type, last-event-id"
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": wanted}
    async with http_client(public_server.url) as http:
        for path in ("/graphql", "/graphql/stream", "/auth/dev/login", "/auth/refresh", "/auth/logout"):
            response = await http.options(path, headers={"origin": FRONTEND, **preflight})
            assert response.status_code == 200, response.text
            assert response.headers["access-control-allow-origin"] == FRONTEND
            assert response.headers["access-control-allow-credentials"] == "true"
            assert "POST" in response.headers["access-control-allow-methods"]
            allowed = response.headers["access-control-allow-headers"].lower().split(", ")
            assert set(wanted.split(", ")) <= set(allowed)
            response = await http.options(path, headers={"origin": "https://evil.example", **preflight})
            assert response.status_code == 400
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "added",
    [
        "baggage,content-type,sentry-trace",
        "content-type,traceparent,tracestate",
        "b3,x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid",
        "apollo-require-preflight,apollographql-client-name,apollographql-client-version,x-apollo-operation-name",
        "x-request-id",
        "x-of-ours",
    ],
)
async def test_a_frontend_of_another_origin_can_send_the_headers_of_its_libraries(
    public_server: Server, added: str
):
    """Including those from a setting; browsers cache the result."""
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": added}
    async with http_client(public_server.url) as http:
        response = await http.options("/graphql", headers={"origin": FRONTEND, **preflight})
        assert response.status_code == 200, response.text
        assert set(added.split(",")) <= set(
            response.headers["access-control-allow-headers"].lower().split(", ")
        )
        assert int(response.headers["access-control-max-age"]) >= 3600
        unknown = {**preflight, "access-control-request-headers": f"{added},x-unknown"}
        assert (await http.options("/graphql", headers={"origin": FRONTEND, **unknown})).status_code == 400


async def test_without_allowed_origins_no_other_page_can_read_answers(http: httpx.AsyncClient):
    response = await http.post("/graphql", json=VIEWER, headers={"origin": FRONTEND})
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", "[::2]", ""])
async def test_an_unknown_host_name_cannot_sign_in(http: httpx.AsyncClient, host: str):
    """DNS rebinding: for the browser, the attacker's page and this server have the same origin."""
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert refusal(await log_in(http, a_name(), headers), 403) == "CROSS_SITE"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
async def test_every_name_of_this_machine_can_sign_in(http: httpx.AsyncClient, host: str):
    assert (await log_in(http, a_name(), {"host": host})).status_code == 200


async def test_other_hosts_can_sign_in_by_name_if_the_operator_allows_it(public_server: Server):
    async with http_client(public_server.url) as http:
        assert (await log_in(http, a_name(), {"host": "chat.example.com"})).status_code == 200
