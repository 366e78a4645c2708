"""Pages that were built with their scripts and styles, all from this server."""

from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent.parent / "static"

# The build may have left compressed copies beside a file.
_COPIES = (("br", ".br"), ("gzip", ".gz"))


def built_page(folder: Path, policy: Mapping[str, str], *, told: str = "") -> Response:
    """Return the page of a folder; its Content-Security-Policy allows what `policy` names, and nothing else.

    `told` are attributes for the document's element, by which the page's script knows how it is served.

    Raises:
        FileNotFoundError: it has not been built.
    """
    allowed = {"default-src": "'none'", **policy, "base-uri": "'none'", "frame-ancestors": "'none'"}
    return HTMLResponse(
        (folder / "index.html").read_text().replace("<html ", f"<html {told} " if told else "<html ", 1),
        headers={
            "content-security-policy": "; ".join(f"{what} {where}" for what, where in allowed.items()),
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
        },
    )


class BuiltFiles(StaticFiles):
    """A page's scripts, styles and fonts, whose names change with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file that may be kept for good, compressed if there is such a copy."""
        response = await super().get_response(path, scope)
        response = await self._compressed(path, scope) or response
        response.headers["x-content-type-options"] = "nosniff"
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
    """Return what the header names, unless with a quality of zero."""
    accepted: set[str] = set()
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        if parameters.replace(" ", "").rstrip("0.") != "q=":
            accepted.add(name.strip())
    return accepted
