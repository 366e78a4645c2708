"""The GraphiQL page and its files, all from this server."""

from pathlib import Path

from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUILT = Path(__file__).parent / "static" / "graphiql"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        # The editor lays out its lines with styles of its own making, and brings its fonts in its styles.
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


def graphiql_page(folder: Path = BUILT) -> Response:
    """Return the page.

    Raises:
        FileNotFoundError: it has not been built.
    """
    return HTMLResponse(
        (folder / "index.html").read_text(),
        headers={
            "content-security-policy": _POLICY,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
            "vary": "accept",
        },
    )


class GraphiQLFiles(StaticFiles):
    """The page's scripts, styles and fonts, whose names change with their content."""

    def __init__(self, folder: Path = BUILT) -> None:
        """Serve the built files."""
        super().__init__(directory=folder)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file that may be kept for good."""
        response = await super().get_response(path, scope)
        response.headers["x-content-type-options"] = "nosniff"
        if response.status_code == 200 and path.startswith("assets/"):
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
