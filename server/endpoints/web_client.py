"""The web client: one page at each of its addresses, and its files."""

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from server.endpoints.built_files import STATIC, BuiltFiles, built_page

BUILT = STATIC / "messenger"

# The client's routes: the server answers each with the same page, whose script shows the right view.
_ADDRESSES = ("/", "/conversations/{id}", "/profile")

_POLICY = {
    "script-src": "'self'",
    "style-src": "'self'",
    # Users may host their pictures anywhere.
    "img-src": "'self' https:",
    "connect-src": "'self'",
    "form-action": "'self'",
}


async def _without_slash(request: Request) -> Response:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return RedirectResponse(path.decode().rstrip("/") + (f"?{query.decode()}" if query else ""), 308)


def web_client(folder: Path = BUILT, *, graphiql: bool) -> Sequence[BaseRoute]:
    """Return the routes of the page and its files; with `graphiql`, the page links to GraphiQL.

    Raises:
        FileNotFoundError: the page has not been built.
    """
    page = built_page(folder, _POLICY, html_attributes="data-graphiql" if graphiql else "")

    async def show(request: Request) -> Response:
        return page

    return [
        *(Route(address, show) for address in _ADDRESSES),
        *(Route(f"{address}/", _without_slash) for address in _ADDRESSES if address != "/"),
        Mount("/assets", BuiltFiles(directory=folder / "assets")),
    ]
