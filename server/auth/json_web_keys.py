"""The public keys of those who sign tokens, and whether a token is signed with one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, cast

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from server.auth.outbound import Unavailable

log = structlog.stdlib.get_logger(__name__)

# Signatures by a private key only. With HS256 among them, whoever knows the public key could sign.
ALGORITHMS = frozenset(
    {
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    }
)  # fmt: skip


class TokenNotTrusted(Exception):
    """A token is not signed by whom it should be, or does not say what it must."""


class JsonWebKeys:
    """A signer's keys: cached, fetched again every ten minutes, and when a token names one that is not there.

    The latter happens at most twice a minute, whatever tokens come. While the signer does not answer, the
    keys that are there stay good for a day, and nobody waits for others. Whoever makes it closes it.
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
        """Have `fetch` get the JWK set (RFC 7517) when it is needed."""
        self._fetch = fetch
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._surprise_seconds = surprise_seconds
        self._retry_seconds = retry_seconds
        self._keys = KeySet([])
        self._fetched = self._failed = self._surprised = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """Give up the fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def claims_of(
        self, token: str, algorithms: Collection[str] = ALGORITHMS
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the token's header and claims: its signature is good, its claims are not looked at.

        Raises:
            TokenNotTrusted: it is not signed with one of the keys, by one of the algorithms.
            Unavailable: the keys cannot be had.
        """
        # Parameters of the header that nobody here knows do no harm; critical ones are refused all the same.
        registry = JWSRegistry(
            algorithms=list(ALGORITHMS.intersection(algorithms)), strict_check_header=False
        )
        fetched = self._fetched
        age = time.monotonic() - fetched
        if age > self._fresh_seconds:
            fetching = self._refresh()
            # Keys that are not too old are good enough: those who ask do not wait for fresh ones.
            if age > self._stale_seconds:
                await _finished(fetching)
                if self._fetched == fetched:
                    raise Unavailable("the keys that tokens are signed with cannot be had")
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
            # The library stumbles over some headers that nobody honest writes, each in its own way.
            raise TokenNotTrusted(f"{type(error).__name__}: {error}") from error
        return verified.header, verified.claims

    def _refresh(self) -> asyncio.Task[None] | None:
        """Return the fetch that is under way, begun if there is none; None right after one has failed."""
        if self._fetching is None and time.monotonic() - self._failed > self._retry_seconds:
            self._fetching = asyncio.create_task(self._fetch_keys(), name="fetch of keys")
        return self._fetching

    async def _fetch_keys(self) -> None:
        """Fetch the keys; keep those there are when they cannot be had."""
        try:
            self._keys = _public_keys(await self._fetch())
            self._fetched = time.monotonic()
        except Unavailable as error:
            self._failed = time.monotonic()
            log.warning("cannot fetch the keys that tokens are signed with", error=str(error))
        except Exception:
            # Nobody awaits this task's result: requests that need the keys find that there are none.
            self._failed = time.monotonic()
            log.exception("cannot read the keys that tokens are signed with")
        finally:
            self._fetching = None


async def _finished(fetching: asyncio.Task[None] | None) -> None:
    """Wait for the fetch, which goes on for others if this one's client does not."""
    if fetching is not None:
        await asyncio.wait([fetching])


def _public_keys(found: dict[str, Any]) -> KeySet:
    """Return those of the keys that can check a signature by one of the algorithms."""
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise Unavailable("the answer is no set of keys")
    keys: list[Key] = []
    for data in cast("list[Any]", listed):
        key_type = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}.get(data.get("kty"))
        if key_type is None or data.get("use", "sig") != "sig":
            continue
        try:
            keys.append(key_type.import_key(data))
        except (JoseError, ValueError) as error:
            log.warning("left out a key that cannot be read", kid=data.get("kid"), error=str(error))
    return KeySet(keys)
