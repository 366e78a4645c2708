"""Request framing as uvicorn does it by default."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

from contextlib import suppress

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.framing import CYCLE, FramedRequests


def accept_upgrades(number: int) -> None:
    """Treat every upgrade as accepted, so that the body after it is parsed as the next request."""

    def parse(self: FramedRequests, data: bytes | memoryview) -> None:
        with suppress(httptools.HttpParserUpgrade):
            self.parser.feed_data(data)

    def start(self: FramedRequests) -> None:
        HttpToolsProtocol.on_headers_complete(self)
        self.scope["extensions"][CYCLE] = self.cycle  # pyright: ignore[reportArgumentType, reportTypedDictNotRequiredAccess]  # as in framing.py

    FramedRequests._parse = parse
    FramedRequests.on_headers_complete = start
    FramedRequests.on_message_begin = HttpToolsProtocol.on_message_begin
    FramedRequests.on_message_complete = HttpToolsProtocol.on_message_complete
