"""What the logs and metrics tell operators, and what they must not contain."""

import re
from uuid import uuid4

import httpx

from execution.api import Api
from tests.conftest import SignIn
from tests.server.graphql.asking import AS_STREAM, SYNTAX_ERROR, VIEWER, log_lines, posts
from tests.support.people import MESSAGE_CREATED, Person
from tests.support.serving import Server, eventually


async def test_every_answer_has_a_request_id_that_is_logged(
    http: httpx.AsyncClient, server: Server, ada: Person
):
    responses = [
        await ada.posts(VIEWER),
        await posts(http, SYNTAX_ERROR),
        await posts(http, {"query": VIEWER}, "text/plain"),
        await posts(http, {"query": VIEWER}, "text/event-stream"),
        await posts(http, b"x" * 300_000),
        await http.post("/graphql", content=b"{}"),
        await http.patch("/graphql"),
        await http.get("/nowhere"),
        await http.get("/"),
        await http.post("/auth/logout"),
        await http.get("/auth/logout"),
        await http.get("/health/live"),
        await http.get("/metrics"),
        await http.post("/graphql", headers={**AS_STREAM, "last-event-id": "complete"}),
    ]
    ids = [response.headers["x-request-id"] for response in responses]
    assert len(set(ids)) == len(responses)
    for response, request_id in zip(responses, ids, strict=True):
        assert re.fullmatch(r"[0-9a-f]{32}", request_id)
        assert response.headers["x-content-type-options"] == "nosniff"
        [line] = await log_lines(server, request_id)
        assert (line["method"], line["path"]) == (response.request.method, response.request.url.path)
        assert (line["status"], line["level"]) == (response.status_code, "info")
        assert 0 <= line["milliseconds"] < 60_000
    # Senders cannot choose it, because they must not control the log.
    response = await http.get("/health/live", headers={"x-request-id": "mine"})
    assert response.headers["x-request-id"] not in {"mine", *ids}


async def test_the_log_contains_no_tokens_and_no_messages(
    http: httpx.AsyncClient, server: Server, ada: Person, signs_in: SignIn
):
    grace = await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    secret = uuid4().hex
    await ada.sends(secret, to=conversation)
    query = f'query {{ user(username: "{secret}") {{ id }} }}'
    response = await http.get("/graphql", params={"query": query}, headers=ada.headers)
    await log_lines(server, response.headers["x-request-id"])
    log = server.log_path.read_text()
    assert secret not in log
    assert ada.token not in log


async def test_the_metrics_count_events(http: httpx.AsyncClient, server: Server, ada: Person):
    samples = {
        'messenger_http_requests_total{method="POST",path="/graphql",status="200"}': 4,
        'messenger_http_requests_total{method="POST",path="/graphql",status="400"}': 1,
        'messenger_http_requests_total{method="GET",path="/graphql/stream",status="204"}': 1,
        'messenger_http_requests_total{method="POST",path="/auth/",status="401"}': 1,
        'messenger_http_request_seconds_count{path="/graphql"}': 5,
        'messenger_operations_total{field="viewer",outcome="ok"}': 2,
        'messenger_operations_total{field="inboxCursor",outcome="refused"}': 1,
    }
    await eventually(server.is_idle)
    before = {sample: server.metric(sample) for sample in samples}
    await ada.asks(VIEWER)
    await ada.asks("{ me: viewer { id } }")
    await posts(http, {"query": "{ inboxCursor }"})
    await posts(http, SYNTAX_ERROR)
    await posts(http, {})
    await http.get("/graphql/stream", headers={**AS_STREAM, "last-event-id": "complete"})
    await http.post("/auth/refresh")

    def differences() -> dict[str, float]:
        return {sample: server.metric(sample) - before[sample] for sample in samples}

    await eventually(lambda: differences() == samples)


async def test_open_streams_are_counted_while_they_are_open(server: Server, ada: Person):
    await eventually(server.is_idle)
    gone = 'messenger_streams_ended_total{reason="client gone"}'
    ended = server.metric(gone)
    async with ada.listening(), ada.listening():
        assert server.metric("messenger_open_streams") == 2
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    await eventually(lambda: server.metric(gone) == ended + 2)


async def test_the_duration_of_a_query_over_sse_is_measured_and_that_of_a_stream_is_not(
    server: Server, ada: Person
):
    measured = 'messenger_http_request_seconds_count{path="/graphql"}'
    await eventually(server.is_idle)
    before = server.metric(measured)
    await posts(ada.http, {"query": VIEWER}, "text/event-stream", **ada.headers)
    await eventually(lambda: server.metric(measured) == before + 1)
    ended = server.metric('messenger_streams_ended_total{reason="client gone"}')
    for accept in (
        "text/event-stream",
        "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
    ):
        body, headers = {"query": MESSAGE_CREATED}, {**ada.headers, "accept": accept}
        async with ada.http.stream("POST", "/graphql", json=body, headers=headers) as response:
            assert response.status_code == 200
    await eventually(
        lambda: server.metric('messenger_streams_ended_total{reason="client gone"}') == ended + 2
    )
    await posts(ada.http, {"query": VIEWER}, "text/event-stream", **ada.headers)
    await eventually(lambda: server.metric(measured) == before + 2)


async def test_clients_cannot_create_an_unlimited_number_of_metrics(http: httpx.AsyncClient):
    for prefix in (
        "/", "/graphql/", "/auth/", "/health/", "/assets/", "/graphiql/", "/metrics/", "/graphql/stream/"
    ):  # fmt: skip
        for method in ("GET", "PROPFIND"):
            await http.request(method, f"{prefix}{uuid4()}")
    await posts(http, {"query": f"{{ a{uuid4().hex}: __typename }}"})
    page = (await http.get("/metrics")).text
    paths = set(re.findall(r'path="([^"]*)"', page))
    assert paths <= {
        "/graphql", "/graphql/stream", "/auth/", "/health/", "/metrics", "/assets/", "/graphiql/", "other"
    }  # fmt: skip
    assert "other" in paths
    fields = set(re.findall(r'field="([^"]*)"', page))
    assert fields <= set(re.findall(r"\w+", Api().sdl())) | {"__typename", "__schema", "__type"}


async def test_the_server_is_alive_and_ready(http: httpx.AsyncClient):
    live, ready = await http.get("/health/live"), await http.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
