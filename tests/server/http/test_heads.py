"""Limits on heads and bodies that keep parsing them cheap, each enforced before the work that it limits."""

import asyncio

import httpx
import pytest

from tests.server.graphql.asking import refused
from tests.server.http.test_framing import LAST, NEXT, PATIENCE_SECONDS, exchanged
from tests.support.serving import Server

QUERY = "query=%7B__typename%7D"


@pytest.mark.parametrize("path", ["/graphql", "/health/live"])
async def test_a_url_has_at_most_a_hundred_parameters(http: httpx.AsyncClient, path: str):
    for more, status in ((99, 200), (100, 400)):
        response = await http.get(f"{path}?{QUERY}{'&a=1' * more}")
        assert response.status_code == status
    assert "more than 100 parameters" in response.text


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        (f"/graphql?{QUERY}&a=".ljust(16 * 1024, "a"), 200, ""),
        (f"/graphql?{QUERY}&a=".ljust(16 * 1024 + 1, "a"), 414, "the URL has more than 16384 bytes"),
        ("/".ljust(2048, "a") + "?a=b", 404, ""),
        ("/".ljust(2049, "a") + "?a=b", 414, "the path has more than 2048 bytes"),
        ("/".ljust(9000, "%"), 414, "the path has more than 2048 bytes"),
    ],
    ids=["a long URL", "a longer URL", "a long path", "a longer path", "a path of percent signs"],
)
async def test_the_lengths_of_a_url_and_its_path_are_limited(
    server: Server, target: str, status: int, reason: str
):
    sent = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode()
    answers = await exchanged(server.port, [NEXT + sent + LAST])
    assert [answer.status for answer in answers[:2]] == [200, status]
    assert reason in answers[1].body.decode()
    # A rejected request is the last one of its connection.
    assert len(answers) == (2 if reason else 3)


async def test_too_many_headers_are_rejected_before_the_last_has_arrived(server: Server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(NEXT + NEXT.removesuffix(b"\r\n") + b"a: b\r\n" * 2000)
    async with asyncio.timeout(PATIENCE_SECONDS):
        answered = await reader.read()
    writer.transport.abort()
    assert answered.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 431 " in answered and b"more than 200 headers" in answered


async def test_a_request_has_at_most_two_hundred_cookies(http: httpx.AsyncClient):
    for cookies, status in ((200, 200), (201, 431)):
        headers = {"cookie": "; ".join(f"c{number}=1" for number in range(cookies))}
        response = await http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
        assert response.status_code == status
    assert "more than 200 cookies" in refused(response, 431)


async def test_json_has_at_most_ten_thousand_objects_and_arrays(http: httpx.AsyncClient):
    """They take far more time and memory than the same number of bytes in a string."""
    empty: list[int] = []
    for count, status in ((9_000, 200), (10_000, 400)):
        body = {"query": "{ __typename }", "variables": {"unused": [empty] * count}}
        response = await http.post("/graphql", json=body)
        assert response.status_code == status, response.text
    assert "more than 10000 opening brackets" in refused(response, 400)


async def test_json_has_at_most_ten_thousand_commas(http: httpx.AsyncClient):
    for count, status in ((9_000, 200), (11_000, 400)):
        body = {"query": "{ __typename }", "variables": {"unused": [0] * count}}
        response = await http.post("/graphql", json=body)
        assert response.status_code == status, response.text
    assert "more than 10000 commas" in refused(response, 400)


async def test_at_most_a_hundred_requests_wait_for_the_answer_of_another(server: Server):
    answers = await exchanged(server.port, [NEXT * 50 + LAST])
    assert [answer.status for answer in answers] == [200] * 51
    answers = await exchanged(server.port, [NEXT * 2000])
    statuses = [answer.status for answer in answers]
    assert statuses == [200] * (len(statuses) - 1) + [429]
    assert len(statuses) < 1000
