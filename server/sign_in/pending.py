"""What a sign-in must remember while the person is at the provider: state, nonce, PKCE's verifier.

It goes with their browser, in a cookie that only this server can read: sealed, out of reach of scripts, good
for ten minutes. Kept in the database instead, anyone could fill that without an account.

Each sign-in has a cookie of its own, named for its state, so two tabs at a provider do not disturb each
other. A browser keeps a handful; the oldest make room.
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
_MOST = 5
# Proxies take 8 kB for a header, which holds other cookies too, and browsers 4 kB for a cookie.
_MOST_BYTES = 4000
_MOST_BYTES_EACH = 3800


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in while the person is at the provider; `is_retry` if it follows one that came to nothing."""

    provider: str
    secrets: Secrets
    destination: Destination
    is_retry: bool = False
    begun: float = field(default_factory=time.time)


class PendingSignIns:
    """The sign-ins that a browser has under way, in its cookies."""

    def __init__(self, seal: Seal, *, secure: bool) -> None:
        """Seal the cookies; `secure` ones come back by https only."""
        self._seal = seal
        self._secure = secure
        self._prefix = "__Host-messenger-sign-in-" if secure else "messenger-sign-in-"

    def find(self, request: Request, provider: str) -> Pending | None:
        """Return the sign-in with that provider whose state the request has brought back."""
        state = request.query_params.get("state", "")
        pending = self._opened(cookie_of(request, self._name_for(state)) or "")
        if pending is None or (pending.provider, pending.secrets.state) != (provider, state):
            return None
        return pending

    def keep(self, response: Response, request: Request, pending: Pending) -> None:
        """Have the browser remember the sign-in, and forget the oldest where there are too many.

        Raises:
            HttpRefusal: 400, what it has to remember is more than a browser keeps.
        """
        name, value = self._name_for(pending.secrets.state), self._seal.close(asdict(pending), _SECONDS)
        if len(value) > _MOST_BYTES_EACH:
            raise HttpRefusal(400, "BAD_USER_INPUT", "The address to go on to is too long: shorten it.")
        kept, size = 1, len(name) + len(value)
        for other, other_size in self._others(request):
            size += other_size
            if kept < _MOST and size <= _MOST_BYTES:
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
            # The way back from the provider is a link from another site.
            samesite="lax",
        )

    def forget(self, response: Response, pending: Pending) -> None:
        """Have the browser forget the sign-in: it is over."""
        self._delete(response, self._name_for(pending.secrets.state))

    def _others(self, request: Request) -> Generator[tuple[str, int]]:
        """Yield the cookies of other sign-ins and their sizes, the newest first; what is not good, last."""
        found = [(name, value) for name, value in cookies_of(request) if name.startswith(self._prefix)]
        begun = {name: pending.begun for name, value in found if (pending := self._opened(value))}
        for name, value in sorted(found, key=lambda cookie: begun.get(cookie[0], 0), reverse=True):
            yield name, len(name) + len(value) if name in begun else _MOST_BYTES

    def _opened(self, value: str) -> Pending | None:
        opened = self._seal.open(value)
        try:
            return None if opened is None else _pending_of(opened)
        except (KeyError, TypeError):
            # Sealed by another version of this program.
            return None

    def _delete(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")

    def _name_for(self, state: str) -> str:
        return self._prefix + sha256(state.encode(errors="replace")).hexdigest()[:16]


def _pending_of(value: dict[str, Any]) -> Pending:
    secrets, destination = Secrets(**value["secrets"]), Destination(**value["destination"])
    return Pending(value["provider"], secrets, destination, value["is_retry"], value["begun"])
