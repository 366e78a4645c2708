"""Which cookies of a request are accepted as the server's own, byte by byte."""

import asyncio
import json

import pytest

from tests.server.sign_in.signing_in import COOKIE, SECURE_COOKIE, VIEWER, a_name, token_for
from tests.support.clients import http_client
from tests.support.people import PATIENCE_SECONDS
from tests.support.serving import Server

# White space for Python when read as Latin-1; for browsers, all but space and tab are part of a name.
WHITE_TO_PYTHON = [byte for byte in range(256) if chr(byte).isspace() and chr(byte) not in " \t\r\n"]


async def viewer_by(server: Server, *cookies: bytes) -> str | None:
    """Send these Cookie headers unchanged; return the username of the viewer."""
    body = json.dumps(VIEWER).encode()
    lines = b"".join(b"Cookie: " + cookie + b"\r\n" for cookie in cookies)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) + lines + b"\r\n" + body
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 400 "):
        # The HTTP parser rejected the bytes.
        return None
    assert head.startswith(b"HTTP/1.1 200 "), answer
    found = json.loads(content)["data"]["viewer"]
    return None if found is None else found["username"]


@pytest.fixture(params=[COOKIE, SECURE_COOKIE])
def place(request: pytest.FixtureRequest, server: Server, public_server: Server) -> tuple[Server, bytes]:
    """A server, and the name of its cookie."""
    return (server if request.param == COOKIE else public_server), request.param.encode()


async def tokens(server: Server) -> tuple[str, bytes, bytes]:
    """Return a user's name and token, and the token of another user."""
    name = a_name()
    async with http_client(server.url) as http:
        return name, (await token_for(http, name)).encode(), (await token_for(http, a_name())).encode()


@pytest.mark.parametrize("byte", WHITE_TO_PYTHON, ids=hex)
async def test_a_name_with_an_additional_byte_is_another_name(place: tuple[Server, bytes], byte: int):
    server, cookie = place
    name, own, others = await tokens(server)
    strange = bytes([byte])
    for planted in (strange + cookie, cookie + strange, b" " + strange + cookie):
        assert await viewer_by(server, planted + b"=" + others) is None
        both = planted + b"=" + others + b"; " + cookie + b"=" + own
        assert await viewer_by(server, both) in ({name} if byte >= 0x80 else {name, None})


async def test_spaces_and_tabs_around_a_cookie_are_ignored(place: tuple[Server, bytes]):
    server, cookie = place
    name, own, _ = await tokens(server)
    for sent in (cookie + b"=" + own, b"a=b;\t " + cookie + b" =\t" + own + b" \t; c"):
        assert await viewer_by(server, sent) == name


async def test_of_two_cookies_with_one_name_neither_is_accepted(place: tuple[Server, bytes]):
    server, cookie = place
    _, own, others = await tokens(server)
    first, second = cookie + b"=" + own, cookie + b"=" + others
    for sent in ([first + b"; " + second], [second + b"; a=b; " + first], [first, second], [second, first]):
        assert await viewer_by(server, *sent) is None
    assert await viewer_by(server, first + b"; " + cookie + b"=") is None
