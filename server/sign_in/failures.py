"""Failed sign-ins with a provider, with texts for the user."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from server.auth.outbound import ServiceUnavailable
from server.sign_in.provider import Provider

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class SignInFailure(Exception):
    """A sign-in failed; the texts are for the user."""

    title: str
    text: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in {429, 500, 503}


def internal_error() -> SignInFailure:
    """Return the failure for an unexpected exception."""
    return SignInFailure(
        "Something went wrong",
        "You have not been signed in, because of an error on this server. Please try again. If the problem"
        " persists, send the request ID below to the administrator of this server.",
        500,
    )


def database_unavailable() -> SignInFailure:
    """Return the failure while the database does not respond."""
    return SignInFailure(
        "Sign-in is temporarily unavailable",
        "This server cannot reach its database. Please try again in a few minutes.",
        503,
    )


def not_configured() -> SignInFailure:
    """Return the failure for a provider that this server does not offer."""
    return SignInFailure(
        "This way to sign in is not available",
        "This server does not offer it. Choose another way to sign in.",
        404,
    )


def not_pending(*, without_cookies: bool) -> SignInFailure:
    """Return the failure for a callback without a pending sign-in in this browser."""
    if without_cookies:
        return SignInFailure(
            "Your browser sent no cookies",
            "Signing in requires cookies. Allow them for this site, then sign in again in this browser. If"
            " they are already allowed, this sign-in was started in another browser, or took more than ten"
            " minutes.",
            400,
        )
    return SignInFailure(
        "This sign-in has expired",
        "It took more than ten minutes, was started in another browser, or was already completed. Your"
        " account has not changed. Please sign in again.",
        400,
    )


def not_confirmed(provider: Provider) -> SignInFailure:
    """Return the failure for a provider that rejects its own code."""
    return SignInFailure(
        f"{provider.name} did not confirm the sign-in",
        "It may have taken too long. Please sign in again.",
        400,
    )


def not_verified(provider: Provider) -> SignInFailure:
    """Return the failure for a response whose origin or recipient cannot be verified."""
    return SignInFailure(
        "This sign-in could not be verified",
        f"You have not been signed in, because the response could not be verified to come from"
        f" {provider.name} and to be meant for you. Please try again. If the problem persists, contact the"
        " administrator of this server.",
        502,
    )


def rejected_by_provider(provider: Provider, error: str, description: str) -> SignInFailure:
    """Return the failure for an error that the provider reported."""
    if error == "access_denied":
        return SignInFailure(
            "You have not been signed in",
            f"Access to your {provider.name} account was denied. If that was a mistake, sign in again.",
            403,
        )
    log.warning("sign-in rejected by provider", provider=provider.id, error=error, description=description)
    return SignInFailure(
        f"{provider.name} could not sign you in",
        f"{provider.name} reported an error. Please try again. If the problem persists, contact the"
        " administrator of this server.",
        502,
    )


def provider_unavailable(provider: Provider, error: ServiceUnavailable) -> SignInFailure:
    """Return the failure for a provider that does not respond."""
    log.warning("provider not available", provider=provider.id, error=str(error))
    return SignInFailure(
        f"{provider.name} does not respond",
        "It may be down, or not reachable from this server. Please try again in a few minutes.",
        503,
    )
