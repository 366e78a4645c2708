"""What signs people in for us: the shape that GitHub and OpenID providers share."""

import secrets
from dataclasses import dataclass
from typing import Protocol

from resolvers.identities import Profile


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only this browser's sign-in and we know, besides what the provider is told of it.

    `state` comes back with the browser, `nonce` inside the ID token; `code_verifier` proves to the provider
    that its code has come to who asked for it.
    """

    state: str
    nonce: str
    code_verifier: str

    @classmethod
    def make(cls) -> "Secrets":
        """Return new ones, 256 random bits each."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a provider vouches for: its URL, the subject by which it knows them, and their profile."""

    issuer: str
    subject: str
    profile: Profile


class Provider(Protocol):
    """Somebody who knows people and tells us who they are."""

    @property
    def id(self) -> str:
        """The word in our own addresses."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    async def authorization_url(self, of: Secrets) -> str:
        """Return where to send the person's browser.

        Raises:
            Unavailable: the provider does not answer.
        """
        ...

    async def check_issuer(self, issuer: str | None) -> None:
        """Accept an answer by who says to have sent it (RFC 9207), before anything else in it is believed.

        Raises:
            TokenNotTrusted: it is not from this provider.
            Unavailable: the provider does not answer.
        """
        ...

    async def identify(self, of: Secrets, code: str) -> Identified:
        """Return who has signed in, for the code that the browser brought.

        Raises:
            CodeRefused: the provider does not take the code.
            TokenNotTrusted: what it answers is not signed by it, or not meant for this sign-in.
            Unavailable: it does not answer as it should.
        """
        ...
