"""Request framing as uvicorn does it by default."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

from contextlib import suppress
from typing import cast

import httptools
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.framing import FramedRequests


def accept_upgrades(number: int) -> None:
    """Treat every upgrade as accepted, so that the body after it is parsed as the next request."""

    def parse(self: FramedRequests, data: bytes | memoryview) -> None:
        with suppress(httptools.HttpParserUpgrade):
            self.parser.feed_data(data)

    def start(self: FramedRequests) -> None:
        parser = self.parser
        app = cast(ASGIApp, self.app)  # pyright: ignore[reportUnknownMemberType]  # uvicorn does not type it
        self._start(app, parser.get_method(), parser.get_http_version())

    FramedRequests._parse = parse
    FramedRequests.on_headers_complete = start
    FramedRequests.on_message_begin = HttpToolsProtocol.on_message_begin
    FramedRequests.on_message_complete = HttpToolsProtocol.on_message_complete
