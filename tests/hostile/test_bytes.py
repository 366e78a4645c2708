"""Bytes that are not HTTP, and connections that are closed in the middle of a request."""

import asyncio
import re

import pytest

from tests.hostile.sending import INSIDES, QUICK_SECONDS
from tests.support.serving import Server, eventually

HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"query": "{ __typename }"}'
END = b"\r\n\r\n"

# If a connection is closed while much data is in transit, the answer may be lost.
CLOSED = 0

RAW = {
    "more than the length": (HEAD + b"Content-Length: 5" + END + BODY, {400}),
    "a negative length": (HEAD + b"Content-Length: -1" + END + BODY, {400}),
    "a length that is not a number": (HEAD + b"Content-Length: 0x1b" + END + BODY, {400}),
    "a length of 23 digits": (HEAD + b"Content-Length: " + b"9" * 23 + END + BODY, {400}),
    "two lengths": (HEAD + b"Content-Length: 27\r\nContent-Length: 28" + END + BODY, {400}),
    "a length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked" + END + b"0" + END,
        {400},
    ),
    "a chunk without a size": (HEAD + b"Transfer-Encoding: chunked" + END + b"zz\r\n" + BODY, {400}),
    "a chunk longer than its size": (HEAD + b"Transfer-Encoding: chunked" + END + b"5\r\n" + BODY, {400}),
    "a chunk of 2^68 bytes": (HEAD + b"Transfer-Encoding: chunked" + END + b"f" * 17 + b"\r\n" + BODY, {400}),
    "an unknown transfer encoding": (HEAD + b"Transfer-Encoding: gzip" + END + BODY, {501}),
    "one before the chunks": (HEAD + b"Transfer-Encoding: gzip, chunked" + END + b"0" + END, {501}),
    "chunks twice": (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" + END, {400}),
    "chunks in HTTP/1.0": (
        HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked" + END + b"0" + END,
        {400},
    ),
    "the same length twice": (HEAD + b"Content-Length: 27\r\nContent-Length: 27" + END + BODY, {400}),
    "a space before the colon": (HEAD + b"Content-Length : 27" + END + BODY, {400}),
    "trailers without end": (
        HEAD + b"Transfer-Encoding: chunked" + END + b"0\r\nX: " + b"a" * 1_000_000,
        {431},
    ),
    "many trailers": (
        HEAD + b"Transfer-Encoding: chunked" + END + b"0\r\n" + b"X: a\r\n" * 200_000,
        {431},
    ),
    "no host": (b"GET /health/live HTTP/1.1" + END, {400}),
    "two hosts": (GET + b"Host: localhost" + END, {400}),
    "a target that is not a URL": (b"GET http://[ HTTP/1.1\r\nHost: localhost" + END, {400}),
    "a target of another scheme": (b"GET ftp://localhost/health/live HTTP/1.1\r\nHost: x" + END, {400}),
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
    "escapes that are not UTF-8": (b"GET /%ff%c3%28 HTTP/1.1\r\nHost: localhost" + END, {404}),
    "a query that is not UTF-8": (
        b"GET /graphql?query=%ff%00&variables=%c3 HTTP/1.1\r\nHost: x" + END,
        {400},
    ),
    "NUL in a header": (GET + b"Accept: a\x00b" + END, {400}),
    "a folded header": (GET + b"Accept: a\r\n b" + END, {400}),
    "a header without a name": (GET + b": a" + END, {400}),
    "a header with a space in its name": (GET + b"Ac cept: a" + END, {400}),
    "line feeds alone": (b"GET /health/live HTTP/1.1\nHost: localhost\n\n", {200, 400}),
    "an unknown method": (b"FROB /graphql HTTP/1.1\r\nHost: localhost" + END, {400}),
    "a method that we do not have": (b"PROPFIND /graphql HTTP/1.1\r\nHost: localhost" + END, {405}),
    "a tunnel": (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost" + END, {501}),
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
    """Send bytes and return the start of the answer, or nothing if the server only closes."""
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
async def test_malformed_bytes_get_an_expected_status_and_reveal_nothing_internal(
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
async def test_clients_that_disconnect_in_the_middle_leave_nothing_behind(server: Server, sent: bytes):
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(QUICK_SECONDS):
            assert INSIDES.search((await reader.read()).decode("latin-1")) is None
        writer.close()
    await eventually(server.is_idle)
