"""The public keys of a token issuer, and verifying signatures with them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, cast

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from server.auth.outbound import ServiceUnavailable

log = structlog.stdlib.get_logger(__name__)

# Asymmetric algorithms only. With HS256 among them, anyone who knows the public key could sign.
ALGORITHMS = frozenset(
    {
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    }
)  # fmt: skip


class TokenNotTrusted(Exception):
    """A token's signature or claims are invalid."""


class JsonWebKeys:
    """An issuer's keys: cached, fetched again every ten minutes, and when a token names an unknown key.

    Unknown keys cause at most two fetches a minute. While the issuer does not respond, cached keys stay valid
    for a day, and requests do not wait for newer ones. The owner calls `aclose`.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[dict[str, Any]]],
        *,
        fresh_seconds: float = 600,
        stale_seconds: float = 86_400,
        surprise_seconds: float = 30,
        retry_seconds: float = 3,
    ) -> None:
        """Fetch the JWK set (RFC 7517) with `fetch` when it is needed."""
        self._fetch = fetch
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._surprise_seconds = surprise_seconds
        self._retry_seconds = retry_seconds
        self._keys = KeySet([])
        self._fetched = self._failed = self._surprised = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """Cancel the running fetch."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def claims_of(
        self, token: str, algorithms: Collection[str] = ALGORITHMS
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Verify the token's signature, and return its header and claims; the claims are not checked.

        Raises:
            TokenNotTrusted: it is not signed with one of the keys, by one of the algorithms.
            ServiceUnavailable: the keys are not available.
        """
        # Unknown parameters in the header are harmless; critical ones are rejected regardless.
        registry = JWSRegistry(
            algorithms=list(ALGORITHMS.intersection(algorithms)), strict_check_header=False
        )
        fetched = self._fetched
        age = time.monotonic() - fetched
        if age > self._fresh_seconds:
            fetching = self._refresh()
            # While the cached keys are not too old, requests do not wait for the fetch.
            if age > self._stale_seconds:
                await _finished(fetching)
                if self._fetched == fetched:
                    raise ServiceUnavailable("the issuer's keys are not available")
        try:
            try:
                verified = jwt.decode(token, self._keys, registry=registry)
            except InvalidKeyIdError:
                fetching = self._fetching
                if fetching is None:
                    if time.monotonic() - self._surprised <= self._surprise_seconds:
                        raise
                    self._surprised = time.monotonic()
                    fetching = self._refresh()
                await _finished(fetching)
                verified = jwt.decode(token, self._keys, registry=registry)
        except Exception as error:
            # The library raises all kinds of exceptions for some malformed headers.
            raise TokenNotTrusted(f"{type(error).__name__}: {error}") from error
        return verified.header, verified.claims

    def _refresh(self) -> asyncio.Task[None] | None:
        """Return the running fetch, or start one; None if the last one has just failed."""
        if self._fetching is None and time.monotonic() - self._failed > self._retry_seconds:
            self._fetching = asyncio.create_task(self._fetch_keys(), name="fetch of keys")
        return self._fetching

    async def _fetch_keys(self) -> None:
        """Fetch the keys; if that fails, keep the cached ones."""
        try:
            self._keys = _public_keys(await self._fetch())
            self._fetched = time.monotonic()
        except ServiceUnavailable as error:
            self._failed = time.monotonic()
            log.warning("signing keys not fetched", error=str(error))
        except Exception:
            # No caller sees this task's exception; requests fail if there are no cached keys.
            self._failed = time.monotonic()
            log.exception("signing keys not read")
        finally:
            self._fetching = None


async def _finished(fetching: asyncio.Task[None] | None) -> None:
    """Wait for the fetch without cancelling it when the caller is cancelled, as others wait for it too."""
    if fetching is not None:
        await asyncio.wait([fetching])


def _public_keys(found: dict[str, Any]) -> KeySet:
    """Return the keys that can verify a signature by one of the algorithms."""
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise ServiceUnavailable("the response is not a JSON Web Key Set")
    keys: list[Key] = []
    for data in cast("list[Any]", listed):
        key_type = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}.get(data.get("kty"))
        if key_type is None or data.get("use", "sig") != "sig":
            continue
        try:
            keys.append(key_type.import_key(data))
        except (JoseError, ValueError) as error:
            log.warning("invalid signing key ignored", kid=data.get("kid"), error=str(error))
    return KeySet(keys)
