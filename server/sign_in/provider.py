"""The protocol that GitHub and OpenID providers implement."""

import secrets
from dataclasses import dataclass
from typing import Protocol

from resolvers.identities import Profile


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one sign-in.

    `state` returns in the callback, and `nonce` in the ID token. `code_verifier` proves to the provider that
    its code reached the client that requested it.
    """

    state: str
    nonce: str
    code_verifier: str

    @classmethod
    def make(cls) -> "Secrets":
        """Return new secrets of 256 random bits each."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True)
class Identified:
    """The result of a sign-in: the provider's URL, its identifier for the user, and the user's profile."""

    issuer: str
    subject: str
    profile: Profile


class Provider(Protocol):
    """An identity provider."""

    @property
    def id(self) -> str:
        """The provider's part of this server's paths, such as `github`."""
        ...

    @property
    def name(self) -> str:
        """The name on the sign-in page."""
        ...

    async def authorization_url(self, of: Secrets) -> str:
        """Return the URL of the provider's sign-in page.

        Raises:
            ServiceUnavailable: the provider does not respond.
        """
        ...

    async def check_issuer(self, issuer: str | None) -> None:
        """Check the parameter `iss` of a callback (RFC 9207), before its other parameters are used.

        Raises:
            TokenNotTrusted: the callback is not from this provider.
            ServiceUnavailable: the provider does not respond.
        """
        ...

    async def identify(self, of: Secrets, code: str) -> Identified:
        """Return who signed in, for the code in the callback.

        Raises:
            CodeRefused: the provider rejects the code.
            TokenNotTrusted: the ID token is not signed by the provider, or not meant for this sign-in.
            ServiceUnavailable: the provider does not respond, or its response is not usable.
        """
        ...
