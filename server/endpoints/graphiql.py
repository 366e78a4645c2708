"""The GraphiQL page."""

from collections.abc import Sequence
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from server.endpoints.built_files import STATIC, BuiltFiles, built_page

BUILT = STATIC / "graphiql"

_POLICY = {
    "script-src": "'self'",
    "worker-src": "'self'",
    # The editor positions its lines with inline styles, and its style sheets embed its fonts.
    "style-src": "'self' 'unsafe-inline'",
    "font-src": "'self' data:",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
}


def graphiql(folder: Path = BUILT) -> tuple[Response, Sequence[BaseRoute]]:
    """Return the page, which is shown at /graphql, and the routes of its files.

    Raises:
        FileNotFoundError: the page has not been built.
    """
    page = built_page(folder, _POLICY)
    page.headers["vary"] = "accept"
    files = GZipMiddleware(BuiltFiles(directory=folder / "assets"))
    return page, [Mount("/graphiql/assets", files)]
