"""Why a sign-in with a provider has not worked, in words for the person who waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from server.auth.outbound import Unavailable
from server.sign_in.provider import Provider

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class SignInFailure(Exception):
    """Why a sign-in has not worked, for the person."""

    title: str
    text: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in {429, 500, 503}


def faulty() -> SignInFailure:
    """Return the failure for a fault of ours."""
    return SignInFailure(
        "Something went wrong here",
        "It is this server's fault, and nobody was signed in. Please try again; if it happens again, tell"
        " whoever runs the server what stands at the end of this page.",
        500,
    )


def unable_to_answer() -> SignInFailure:
    """Return the failure while our database does not answer."""
    return SignInFailure(
        "You could not be signed in just now",
        "The server has a problem of its own that should pass soon. Please try again in a few minutes.",
        503,
    )


def not_set_up() -> SignInFailure:
    """Return the failure for a provider that we have not been set up for."""
    return SignInFailure(
        "There is no such sign-in here",
        "This server has not been set up for it. Choose another way to sign in.",
        404,
    )


def not_under_way(*, without_cookies: bool) -> SignInFailure:
    """Return the failure for a way back from a sign-in that this browser does not know."""
    if without_cookies:
        return SignInFailure(
            "Your browser sent no cookies",
            "Cookies are needed to sign in: allow them for this site, then sign in again in this browser. If"
            " they are allowed already, this sign-in was started in another browser, or has taken more than"
            " ten minutes.",
            400,
        )
    return SignInFailure(
        "This sign-in has expired",
        "It took more than ten minutes, was started in another browser, or was finished before. Nothing has"
        " happened to your account: please sign in again.",
        400,
    )


def not_confirmed(provider: Provider) -> SignInFailure:
    """Return the failure for a provider that does not take its code."""
    return SignInFailure(
        f"{provider.name} did not confirm the sign-in",
        "It may have taken too long. Please sign in again.",
        400,
    )


def not_verified(provider: Provider) -> SignInFailure:
    """Return the failure for an answer that is not proven to be the provider's."""
    return SignInFailure(
        "This sign-in could not be verified",
        f"What came back does not prove that it is from {provider.name} and meant for you, so nobody"
        " was signed in. Please try again; if it happens again, tell whoever runs this server.",
        502,
    )


def turned_down(provider: Provider, error: str, description: str) -> SignInFailure:
    """Return the failure for an error that the provider sent back."""
    if error == "access_denied":
        return SignInFailure(
            "You have not been signed in",
            f"{provider.name} was told not to let us know who you are. Sign in again if that was a mistake.",
            403,
        )
    log.warning("the provider turned a sign-in down", provider=provider.id, error=error, why=description)
    return SignInFailure(
        f"{provider.name} could not sign you in",
        "It did not say who you are. Please try again; if it happens again, tell whoever runs this server.",
        502,
    )


def is_down(provider: Provider, error: Unavailable) -> SignInFailure:
    """Return the failure for a provider that does not answer."""
    log.warning("a provider does not answer", provider=provider.id, error=str(error))
    return SignInFailure(
        f"{provider.name} does not answer",
        "It may be down for a moment, or out of this server's reach. Please try again in a few minutes.",
        503,
    )
