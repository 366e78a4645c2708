"""Where a sign-in with a provider ends: on a page of this server, or at another frontend with a code."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request

from server.config.urls import MAX_ADDRESS_CHARS
from server.http.refusals import HttpRefusal

# https://www.rfc-editor.org/rfc/rfc7636#section-4.2, SHA-256 only.
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sign-in ends; another frontend has a `code_challenge`."""

    address: str
    code_challenge: str | None = None
    state: str | None = None

    def with_code(self, code: str) -> str:
        """Return the frontend's address with the code and its state."""
        query = urlencode({"code": code, **({} if self.state is None else {"state": self.state})})
        return f"{self.address}{'&' if urlsplit(self.address).query else '?'}{query}"


def destination_of(request: Request, redirect_uris: Collection[str]) -> Destination:
    """Read the destination from the query of a request.

    A frontend's address is compared exactly (RFC 9700, 2.1 and 4.1). An attacker who makes the link also
    chooses the challenge, so a page that forwards its query to them would hand over the session. RFC 8252,
    7.3 allows any port of loopback addresses, but only for native apps, so that does not apply here.

    Raises:
        HttpRefusal: 400, redirecting to the address is not allowed, or a parameter is missing or wrong.
    """
    given = request.query_params
    elsewhere = given.get("redirect_uri")
    if elsewhere is None:
        following = given.get("next", "/")
        if not _is_ours(following):
            raise _bad_input("`next` must be a path on this server, such as /graphql.")
        return Destination(following)
    if elsewhere not in redirect_uris:
        raise _bad_input(
            "`redirect_uri` must be exactly one of the addresses in MESSENGER_REDIRECT_URIS"
            + ("." if redirect_uris else ", which is not set on this server.")
        )
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
        raise _bad_input(
            "`redirect_uri` requires `code_challenge`, the SHA-256 of the code verifier in base64url, and"
            " `code_challenge_method=S256`."
        )
    state = given.get("state")
    if state is not None and len(state) > 500:
        raise _bad_input("`state` must not be longer than 500 characters.")
    return Destination(elsewhere, challenge, state)


def _is_ours(path: str) -> bool:
    """Return whether a browser that is redirected to `path` stays on this server."""
    # Browsers treat a backslash like a slash, and remove tabs and line breaks.
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and len(path) <= MAX_ADDRESS_CHARS
    )


def _bad_input(message: str) -> HttpRefusal:
    return HttpRefusal(400, "BAD_USER_INPUT", message)
