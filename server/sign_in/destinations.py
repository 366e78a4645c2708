"""Where a sign-in with a provider ends: a page of ours, or a frontend elsewhere, which gets a code."""

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
    """Where a sign-in ends; `code_challenge` is there if that is a frontend elsewhere."""

    address: str
    code_challenge: str | None = None
    state: str | None = None

    def with_code(self, code: str) -> str:
        """Return the frontend's address with the code, and the state that it gave us."""
        query = urlencode({"code": code, **({} if self.state is None else {"state": self.state})})
        return f"{self.address}{'&' if urlsplit(self.address).query else '?'}{query}"


def destination_of(request: Request, redirect_uris: Collection[str]) -> Destination:
    """Read where the sign-in is to end.

    A frontend's address is compared as a whole (RFC 9700, 2.1 and 4.1): whoever makes the link also chooses
    the challenge, so any other page that passes its own address on would hand them the session. That
    includes loopback addresses: the one exception that RFC 8252, 7.3 makes, for any port of them, is for
    native apps, which have no place in a browser's link.

    Raises:
        HttpRefusal: 400, that is no place we send people to.
    """
    given = request.query_params
    elsewhere = given.get("redirect_uri")
    if elsewhere is None:
        following = given.get("next", "/")
        if not _is_ours(following):
            raise _bad_input("`next` must be a path on this server, like /graphql.")
        return Destination(following)
    if elsewhere not in redirect_uris:
        raise _bad_input(
            "`redirect_uri` must be, character by character, one of the addresses in MESSENGER_REDIRECT_URIS,"
            f" where the server's operator {'lists them' if redirect_uris else 'has listed none'}."
        )
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
        raise _bad_input(
            "With `redirect_uri` send `code_challenge`, the SHA-256 of your code verifier in base64url,"
            " and `code_challenge_method=S256`."
        )
    state = given.get("state")
    if state is not None and len(state) > 500:
        raise _bad_input("`state` has over 500 characters.")
    return Destination(elsewhere, challenge, state)


def _is_ours(path: str) -> bool:
    """Say whether a browser that is sent to `path` stays on this server."""
    # Browsers take a backslash for a slash, and leave out tabs and line breaks.
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and len(path) <= MAX_ADDRESS_CHARS
    )


def _bad_input(message: str) -> HttpRefusal:
    return HttpRefusal(400, "BAD_USER_INPUT", message)
