"""A cookie of a sibling domain whose name resembles the session's, as Chromium stores and sends it."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from playwright.async_api import async_playwright

from tests.server.sign_in.signing_in import SECURE_COOKIE, a_name, token_for
from tests.support.chromium import CHROMIUM, needs_chromium
from tests.support.clients import http_client
from tests.support.people import PATIENCE_SECONDS
from tests.support.serving import Server

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ASKS = """async () => {
    const body = JSON.stringify({query: '{ viewer { username } }'});
    const headers = {'content-type': 'application/json'};
    const response = await fetch('/graphql', {method: 'POST', headers, body});
    return (await response.json()).data.viewer?.username;
}"""


@asynccontextmanager
async def tls_server(context: ssl.SSLContext, handler: Handler) -> AsyncGenerator[int]:
    """Serve over https on a free port, and yield the port."""
    server = await asyncio.start_server(handler, "127.0.0.1", ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def planting(token: str) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [
            b"Set-Cookie: " + byte + SECURE_COOKIE.encode() + b"=" + token.encode()
            + b"; Domain=example.com; Path=/graphql; Secure\r\n"
            for byte in (b"\xa0", b"\x85", b"")
        ]  # fmt: skip
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n" + b"".join(lines) + b"\r\n"
        )
        writer.close()

    return handler


def passing_on(port: int, seen: bytearray) -> Handler:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: bytearray) -> None:
        while data := await reader.read(2**16):
            note += data
            writer.write(data)
        writer.close()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server, from_client = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            pump(reader, from_client, seen), pump(to_server, writer, bytearray()), return_exceptions=True
        )

    return handler


@needs_chromium
async def test_a_sibling_domain_cannot_choose_the_session(public_server: Server, tmp_path: Path):
    name = a_name()
    async with http_client(public_server.url) as http:
        own, attackers = await token_for(http, name), await token_for(http, a_name())
    context, seen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), bytearray()
    certificate = tmp_path / "certificate.pem"
    trustme.CA().issue_cert("*.example.com").private_key_and_cert_chain_pem.write_to_path(certificate)
    context.load_cert_chain(certificate)
    rules = "--host-resolver-rules=MAP *.example.com 127.0.0.1"
    async with (
        asyncio.timeout(PATIENCE_SECONDS * 2),
        tls_server(context, planting(attackers)) as evil,
        tls_server(context, passing_on(public_server.port, seen)) as front,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", rules]
        )
        chat = f"https://chat.example.com:{front}"
        async with await browser.new_context(ignore_https_errors=True) as visit:
            await visit.add_cookies(
                [{"name": SECURE_COOKIE, "value": own, "url": chat, "secure": True, "httpOnly": True}]
            )
            page = await visit.new_page()
            await page.goto(f"https://evil.example.com:{evil}/")
            await page.goto(f"{chat}/health/live")
            assert await page.evaluate(ASKS) == name
        await browser.close()
    # The browser really sent the other domain's cookie, before the real one.
    sent = bytes(seen).lower()
    assert attackers.lower().encode() in sent
    assert sent.index(attackers.lower().encode()) < sent.rindex(own.lower().encode())
