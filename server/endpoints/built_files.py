"""Serving the built pages, with their scripts and styles."""

from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent.parent / "static"

# The build may have written compressed copies next to a file.
_COPIES = (("br", ".br"), ("gzip", ".gz"))


def built_page(folder: Path, policy: Mapping[str, str], *, html_attributes: str = "") -> Response:
    """Return the page of a folder; its Content-Security-Policy allows only what `policy` names.

    `html_attributes` are added to the html element, from which the page's script reads them.

    Raises:
        FileNotFoundError: the page has not been built.
    """
    allowed = {"default-src": "'none'", **policy, "base-uri": "'none'", "frame-ancestors": "'none'"}
    text = (folder / "index.html").read_text()
    if html_attributes:
        text = text.replace("<html ", f"<html {html_attributes} ", 1)
    return HTMLResponse(
        text,
        headers={
            "content-security-policy": "; ".join(f"{what} {where}" for what, where in allowed.items()),
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        },
    )


class BuiltFiles(StaticFiles):
    """A page's scripts, styles and fonts, whose names contain a hash of their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, cacheable indefinitely, and a compressed copy of it if the client accepts one."""
        response = await super().get_response(path, scope)
        response = await self._compressed(path, scope) or response
        if response.status_code == 200:
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response

    async def _compressed(self, path: str, scope: Scope) -> Response | None:
        accepted = _accepted_encodings(Headers(scope=scope).get("accept-encoding", ""))
        for encoding, suffix in _COPIES:
            if encoding not in accepted:
                continue
            full_path, found = await run_in_threadpool(self.lookup_path, path + suffix)
            if found is not None and S_ISREG(found.st_mode):
                response = self.file_response(full_path, found, scope)
                response.headers["content-encoding"] = encoding
                response.headers["vary"] = "accept-encoding"
                return response
        return None


def _accepted_encodings(header: str) -> set[str]:
    """Return the encodings that the header names, except those with a quality of zero."""
    accepted: set[str] = set()
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        if parameters.replace(" ", "").rstrip("0.") != "q=":
            accepted.add(name.strip())
    return accepted
