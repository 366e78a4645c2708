"""The web client: one page at each of its addresses, and its files."""

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from server.built_files import STATIC, BuiltFiles, built_page

BUILT = STATIC / "messenger"

# Where a link, a reload or a bookmark may lead: the page itself shows what belongs there.
_ADDRESSES = ("/", "/conversations/{id}", "/profile")

_POLICY = {
    "script-src": "'self'",
    "style-src": "'self'",
    # People's pictures are wherever they have them.
    "img-src": "'self' https:",
    "connect-src": "'self'",
    "form-action": "'self'",
}


def web_client(folder: Path = BUILT, *, graphiql: bool) -> Sequence[BaseRoute]:
    """Return the routes of the page and its files; with `graphiql` it has a link there.

    Raises:
        FileNotFoundError: it has not been built.
    """
    page = built_page(folder, _POLICY, told="data-graphiql" if graphiql else "")

    async def show(request: Request) -> Response:
        return page

    return [
        *(Route(address, show) for address in _ADDRESSES),
        Mount("/assets", BuiltFiles(directory=folder / "assets")),
    ]
