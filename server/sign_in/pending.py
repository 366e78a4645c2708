"""Pending sign-ins: state, nonce and code verifier while the user is at the provider.

They are kept in the browser, in an encrypted cookie that scripts cannot read and that is valid for ten
minutes. In the database, anyone could create an unlimited number of them without an account.

Each pending sign-in has its own cookie, named by a hash of its state, so tabs do not interfere with each
other. A browser keeps at most five; the oldest are deleted.
"""

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from server.auth.cookies import cookie_of, cookies_of
from server.http.refusals import HttpRefusal
from server.sign_in.destinations import Destination
from server.sign_in.provider import Secrets
from server.sign_in.seal import Seal

_SECONDS = 600
_MAX_PENDING = 5
# Proxies accept a header of 8 kB, which contains other cookies too, and browsers a cookie of 4 kB.
_MAX_BYTES = 4000
_MAX_COOKIE_BYTES = 3800


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending sign-in; `is_retry` if it follows one whose code the provider rejected."""

    provider: str
    secrets: Secrets
    destination: Destination
    is_retry: bool = False
    begun: float = field(default_factory=time.time)


class PendingSignIns:
    """The pending sign-ins of a browser, in its cookies."""

    def __init__(self, seal: Seal, *, secure: bool) -> None:
        """Encrypt the cookies with `seal`; browsers send `secure` ones over https only."""
        self._seal = seal
        self._secure = secure
        self._prefix = "__Host-messenger-sign-in-" if secure else "messenger-sign-in-"

    def find(self, request: Request, provider: str) -> Pending | None:
        """Return the pending sign-in with this provider that belongs to the request's state."""
        state = request.query_params.get("state", "")
        pending = self._opened(cookie_of(request, self._name_for(state)) or "")
        if pending is None or (pending.provider, pending.secrets.state) != (provider, state):
            return None
        return pending

    def keep(self, response: Response, request: Request, pending: Pending) -> None:
        """Set the cookie of the sign-in, and delete the oldest ones if there are too many.

        Raises:
            HttpRefusal: 400, the cookie would be larger than browsers accept.
        """
        name, value = self._name_for(pending.secrets.state), self._seal.close(asdict(pending), _SECONDS)
        if len(value) > _MAX_COOKIE_BYTES:
            raise HttpRefusal(400, "BAD_USER_INPUT", "The address to return to is too long. Shorten it.")
        kept, size = 1, len(name) + len(value)
        for other, other_size in self._others(request):
            size += other_size
            if kept < _MAX_PENDING and size <= _MAX_BYTES:
                kept += 1
            else:
                self._delete(response, other)
        response.set_cookie(
            name,
            value,
            max_age=_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            # The redirect back from the provider is a navigation from another site.
            samesite="lax",
        )

    def forget(self, response: Response, pending: Pending) -> None:
        """Delete the cookie of a completed sign-in."""
        self._delete(response, self._name_for(pending.secrets.state))

    def _others(self, request: Request) -> Generator[tuple[str, int]]:
        """Yield the cookies of other sign-ins with their sizes, newest first and invalid ones last."""
        found = [(name, value) for name, value in cookies_of(request) if name.startswith(self._prefix)]
        begun = {name: pending.begun for name, value in found if (pending := self._opened(value))}
        for name, value in sorted(found, key=lambda cookie: begun.get(cookie[0], 0), reverse=True):
            yield name, len(name) + len(value) if name in begun else _MAX_BYTES

    def _opened(self, value: str) -> Pending | None:
        opened = self._seal.open(value)
        try:
            return None if opened is None else _pending_of(opened)
        except (KeyError, TypeError):
            # Written by another version of the server.
            return None

    def _delete(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")

    def _name_for(self, state: str) -> str:
        return self._prefix + sha256(state.encode(errors="replace")).hexdigest()[:16]


def _pending_of(value: dict[str, Any]) -> Pending:
    secrets, destination = Secrets(**value["secrets"]), Destination(**value["destination"])
    return Pending(value["provider"], secrets, destination, value["is_retry"], value["begun"])
