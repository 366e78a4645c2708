"""The messenger behind nginx and Caddy, configured as in docs/deployment.md."""

import asyncio
import json
import os
import re
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ResponseReceived

from db.embedded import Cluster
from db.engine import Database
from server.config.settings import Settings
from tests.conftest import sign_in
from tests.realtime.test_relays import two_processes
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.front import CADDY, NGINX, recipe, running_caddy, running_nginx
from tests.support.people import MESSAGE_CREATED, PATIENCE_SECONDS, Person
from tests.support.serving import Server, eventually, free_port

PROXIES = {"nginx": (NGINX, running_nginx), "Caddy": (CADDY, running_caddy)}
AT_ONCE_SECONDS = 1
MULTIPART = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"


@dataclass(frozen=True)
class Front:
    """A proxy, and the two processes behind it."""

    url: str
    trusting: ssl.SSLContext
    servers: tuple[Server, Server]

    @asynccontextmanager
    async def speaking(self, address: str | None = None) -> AsyncGenerator[httpx.AsyncClient]:
        """Connect to the proxy over HTTP/2 from an address of its own."""
        transport = httpx.AsyncHTTPTransport(
            verify=self.trusting, http2=True, local_address=address or an_address()
        )
        async with httpx.AsyncClient(base_url=self.url, transport=transport, timeout=30) as http:
            yield http

    def open_streams(self) -> float:
        return sum(server.metric("messenger_open_streams") for server in self.servers)


def an_address() -> str:
    """Return a loopback address that no other test uses."""
    number = uuid4().int
    return f"127.{1 + number % 250}.{number // 256 % 256}.{1 + number // 65536 % 250}"


@pytest.fixture(scope="module", params=list(PROXIES))
def front(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Front]:
    program, running = PROXIES[request.param]
    # In CI, a missing program is a failure.
    if program is None and "CI" not in os.environ:
        pytest.skip(f"there is no {request.param}: apt-get install nginx caddy")
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    settings = {
        "public_url": f"https://localhost:{port}",
        "trusted_proxies": "127.0.0.1",
        "dev_login": "on",
        "broadcast_url": "postgresql://",
        "rate_limits": "on",
        "rate_limit_store": "database",
        "sign_ins_per_minute_per_address": "5",
    }
    with (
        two_processes(folder, cluster, **settings) as servers,
        running(folder, port, [server.port for server in servers]) as trusting,
    ):
        yield Front(settings["public_url"], trusting, servers)


CREATED = 'messenger_operations_total{field="createMessage",outcome="ok"}'


async def test_events_pass_immediately_over_http_2(front: Front):
    """In both formats, however small they are, while the stream continues."""
    async with front.speaking() as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        async with grace.listening() as heard, parts(grace) as heard_in_parts:
            assert heard.response.http_version == heard_in_parts.http_version == "HTTP/2"
            chunks = heard_in_parts.aiter_text()
            for number in range(5):
                await ada.sends(f"number {number}", to=conversation)
                async with asyncio.timeout(AT_ONCE_SECONDS):
                    assert await heard.contents(1) == [f"number {number}"]
                    async for chunk in chunks:
                        if f"number {number}" in chunk:
                            break
        cursor = heard.last_event_id
        await ada.sends("missed", to=conversation)
        async with grace.listening(last_event_id=cursor) as heard:
            assert await heard.contents(1) == ["missed"]
        # Caddy chooses a process at random, so it takes a few more messages until both have taken part.
        for number in range(100):
            if all(server.metric(CREATED) > 0 for server in front.servers):
                break
            await ada.sends(f"one more: {number}", to=conversation)
    assert all(server.metric(CREATED) > 0 for server in front.servers)


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/health/ready", "/metrics/"])
async def test_operator_endpoints_are_not_reachable_from_outside(front: Front, path: str):
    async with front.speaking() as http:
        assert (await http.get(path)).status_code == 404
        # The rest is: a page whose name only begins like that is the server's to answer.
        assert (await http.get("/healthy", headers={"accept": "application/json"})).json()["error"][
            "code"
        ] == "NOT_FOUND"


@asynccontextmanager
async def parts(person: Person) -> AsyncGenerator[httpx.Response]:
    """Subscribe like Apollo's clients; the stream is live when the block begins."""
    body, headers = {"query": MESSAGE_CREATED}, {**person.headers, "accept": MULTIPART}
    async with person.http.stream("POST", "/graphql", json=body, headers=headers) as response:
        assert response.headers["content-type"].startswith("multipart/mixed")
        yield response


async def test_single_connection_mode_works_and_resumes(front: Front):
    async with front.speaking() as http:
        john, jane = await sign_in(http, "john"), await sign_in(http, "jane")
        conversation = await john.opens_conversation_with(jane)
        reserved = await Reserved.by(jane, (http, http))
        async with reserved.opened() as stream:
            await reserved.runs(MESSAGE_CREATED, "listening")
            await john.sends("heard", to=conversation)
            async with asyncio.timeout(AT_ONCE_SECONDS):
                _, payload = await comes(stream)
            assert payload is not None
            cursor = payload["data"]["messageCreated"]["cursor"]
        await john.sends("missed", to=conversation)
        again = await Reserved.by(jane, (http, http))
        async with again.opened() as stream:
            await again.runs(MESSAGE_CREATED, "listening", after=cursor)
            _, payload = await comes(stream)
            assert payload is not None
            assert payload["data"]["messageCreated"]["message"]["content"] == "missed"


@dataclass
class Http2:
    """One HTTP/2 connection; like in browsers, its streams can be cancelled while it stays open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: H2Connection

    @classmethod
    async def to(cls, front: Front) -> "Http2":
        context = front.trusting
        context.set_alpn_protocols(["h2"])
        url = httpx.URL(front.url)
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
        protocol = H2Connection(H2Configuration(client_side=True))
        protocol.initiate_connection()
        return cls(reader, writer, protocol)

    async def subscribes(self, person: Person, accept: str) -> int:
        """Return the ID of a stream once its answer has started."""
        body = json.dumps({"query": MESSAGE_CREATED}).encode()
        pseudo = {":method": "POST", ":scheme": "https", ":authority": "localhost", ":path": "/graphql"}
        headers = {**pseudo, **person.headers, "accept": accept, "content-type": "application/json"}
        stream_id = self.protocol.get_next_available_stream_id()
        self.protocol.send_headers(stream_id, list(headers.items()))
        self.protocol.send_data(stream_id, body, end_stream=True)
        self.writer.write(self.protocol.data_to_send())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for event in self.protocol.receive_data(await self.reader.read(65536)):
                    if isinstance(event, ResponseReceived) and event.stream_id == stream_id:
                        assert (b":status", b"200") in event.headers
                        return stream_id
                self.writer.write(self.protocol.data_to_send())

    def cancels(self, stream_id: int) -> None:
        self.protocol.reset_stream(stream_id, ErrorCodes.CANCEL)
        self.writer.write(self.protocol.data_to_send())


async def test_a_disconnected_client_is_noticed_behind_the_proxy(front: Front):
    """Well before the next heartbeat, whether it cancels one stream or closes the connection."""

    async def streams_are(count: int) -> None:
        await eventually(lambda: front.open_streams() == count, 10)

    async with front.speaking() as http:
        ada = await sign_in(http, "ada")
    await streams_are(0)
    connection = await Http2.to(front)
    event_stream = await connection.subscribes(ada, "text/event-stream")
    multipart = await connection.subscribes(ada, MULTIPART)
    await connection.subscribes(ada, "text/event-stream")
    await streams_are(3)
    connection.cancels(event_stream)
    await streams_are(2)
    connection.cancels(multipart)
    await streams_are(1)
    connection.writer.transport.abort()
    await streams_are(0)


async def test_limits_apply_to_the_address_that_the_proxy_forwards(front: Front):
    async def tries(http: httpx.AsyncClient, **headers: str) -> int:
        return (await http.post("/auth/dev/login", json={}, headers=headers)).status_code

    async with front.speaking() as http, front.speaking() as other:
        assert [await tries(http) for _ in range(7)] == [400] * 5 + [429] * 2
        # A forwarding header from the client itself is ignored.
        assert await tries(http, **{"x-forwarded-for": an_address()}) == 429
        assert await tries(other) == 400


async def test_browsers_get_a_cookie_that_is_sent_over_tls_only(front: Front):
    async with front.speaking() as http:
        response = await http.post(
            "/auth/dev/login", json={"username": f"ada-{uuid4().hex[:12]}"}, headers={"origin": front.url}
        )
        assert "; secure" in response.headers["set-cookie"].lower()
        viewer = await http.post(
            "/graphql", json={"query": "{ viewer { username } }"}, headers={"origin": front.url}
        )
        assert viewer.json()["data"]["viewer"]["username"].startswith("ada-")


def test_the_timeouts_in_the_docs_match_the_server_s():
    """Heartbeats arrive before nginx times out, and proxies close idle connections before the server does."""
    read_timeout = re.search(r"proxy_read_timeout (\d+)s;", recipe("nginx"))
    assert read_timeout is not None
    [longest_heartbeat] = [
        each.le for each in Settings.model_fields["heartbeat_seconds"].metadata if hasattr(each, "le")
    ]
    assert int(read_timeout[1]) > 2 * longest_heartbeat
    for program, words in (("nginx", r"keepalive_timeout (\d+)s;"), ("Caddy", r"keepalive (\d+)s")):
        idle = re.search(words, recipe(program))
        assert idle is not None
        assert int(idle[1]) < Settings.model_fields["keep_alive_seconds"].default
