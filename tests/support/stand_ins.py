"""Stand-ins for the other servers of sign-in: GitHub, and issuers that can misbehave."""

import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwk, jwt
from joserfc.jwk import Key, OctKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

CLIENT_ID = "messenger"
CLIENT_SECRET = "a secret of the tests"


@contextmanager
def served(app: ASGIApp) -> Generator[str]:
    """Serve the application on a free port, in a thread of its own, until the block ends."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < end, "the stand-in does not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


class _CodeGrants:
    """The codes that an authorization server has issued, with the data bound to them."""

    def __init__(self) -> None:
        self._bound: dict[str, dict[str, str]] = {}

    def give(self, given: dict[str, str]) -> str:
        assert given["client_id"] == CLIENT_ID
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._bound[code] = given
        return code

    async def take(self, request: Request) -> dict[str, str] | None:
        """Return the data bound to the request's code, or None if the code or the verifier is invalid."""
        sent = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        bound = self._bound.pop(sent["code"], None)
        if bound is None or bound["redirect_uri"] != sent["redirect_uri"]:
            return None
        challenge = urlsafe_b64encode(sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        return bound if challenge == bound["code_challenge"] else None


@dataclass
class GitHubStandIn:
    """GitHub's endpoints, at the paths of an Enterprise Server."""

    user: dict[str, Any] = field(default_factory=dict[str, Any])
    denies: bool = False
    is_down: bool = False
    forgets_codes: bool = False
    _codes: _CodeGrants = field(default_factory=_CodeGrants)
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def app(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/login/oauth/authorize", self._authorize),
                Route("/login/oauth/access_token", self._access_token, methods=["POST"]),
                Route("/api/v3/user", self._user),
            ]
        )

    async def _authorize(self, request: Request) -> Response:
        given = dict(request.query_params)
        if self.denies:
            answer = {
                "error": "access_denied",
                "error_description": "The user has denied your application access.",
                "error_uri": "https://docs.github.com/troubleshooting-authorization-request-errors",
            }
        else:
            answer = {"code": self._codes.give(given)}
        return RedirectResponse(
            f"{given['redirect_uri']}?{urlencode({**answer, 'state': given['state']})}", 302
        )

    async def _access_token(self, request: Request) -> Response:
        if self.is_down:
            return Response("<h1>Unicorn!</h1>", 503, media_type="text/html")
        sent = parse_qs((await request.body()).decode())
        if (sent["client_id"], sent["client_secret"]) != ([CLIENT_ID], [CLIENT_SECRET]):
            return JSONResponse({"error": "incorrect_client_credentials"})
        if await self._codes.take(request) is None or self.forgets_codes:
            # With status 200, like GitHub.
            return JSONResponse({"error": "bad_verification_code", "error_description": "It has expired."})
        token = f"gho_{secrets.token_hex(18)}"
        self._tokens[token] = self.user
        return JSONResponse({"access_token": token, "token_type": "bearer", "scope": ""})

    async def _user(self, request: Request) -> Response:
        user = self._tokens.get(request.headers["authorization"].removeprefix("Bearer "))
        return JSONResponse(user) if user is not None else JSONResponse({"message": "Bad credentials"}, 401)


@dataclass
class Issuer:
    """An OpenID provider and token issuer that can be made to misbehave."""

    url: str = ""
    keys: list[Key] = field(default_factory=lambda: [new_key()])
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    signing_key: Any = None
    resign: Callable[[str], str] | None = None
    response: dict[str, str] = field(default_factory=dict[str, str])
    leaves_out: set[str] = field(default_factory=set[str])
    userinfo: dict[str, Any] = field(default_factory=dict[str, Any])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    is_down: bool = False
    sends_elsewhere: bool = False
    asked_elsewhere: int = 0
    key_fetches: int = 0
    _codes: _CodeGrants = field(default_factory=_CodeGrants)

    def behave(self) -> None:
        """Reset all misbehaviour."""
        self.claims, self.header, self.response, self.userinfo, self.metadata = {}, {}, {}, {}, {}
        self.signing_key, self.resign, self.leaves_out, self.is_down = None, None, set(), False
        self.sends_elsewhere, self.asked_elsewhere = False, 0

    def app(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
                Route("/jwks", self._jwks),
                Route("/elsewhere", self._elsewhere, methods=["GET", "POST"]),
            ]
        )

    def token(self, **claims: Any) -> str:
        """Return a token with its current signing key; a claim that is None is left out."""
        now = int(time.time())
        given = {"iss": self.url, "aud": CLIENT_ID, "sub": "ada", "iat": now, "exp": now + 300}
        given = {name: value for name, value in {**given, **claims}.items() if value is not None}
        key = self.signing_key or self.keys[-1]
        header: dict[str, Any] = {"alg": "RS256", "kid": self.keys[-1].kid, **self.header}
        registry = JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        return jwt.encode(header, given, key, registry=registry)

    async def _configuration(self, request: Request) -> Response:
        if self.is_down:
            return Response(status_code=503)
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/jwks",
                "authorization_response_iss_parameter_supported": True,
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                **self.metadata,
            }
        )

    async def _authorize(self, request: Request) -> Response:
        given = dict(request.query_params)
        answer = {"code": self._codes.give(given), "state": given["state"], "iss": self.url, **self.response}
        answer = {name: value for name, value in answer.items() if name not in self.leaves_out}
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        if self.is_down:
            return Response("<h1>Bad gateway</h1>", 502, media_type="text/html")
        if self.sends_elsewhere:
            return RedirectResponse(f"{self.url}/elsewhere", 307)
        bound = await self._codes.take(request)
        if bound is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        told = {"nonce": bound["nonce"], "preferred_username": "ada", **self.claims}
        id_token = self.token(**told)
        if self.resign is not None:
            id_token = self.resign(id_token)
        return JSONResponse({"access_token": "an access token", "token_type": "Bearer", "id_token": id_token})

    async def _elsewhere(self, request: Request) -> Response:
        self.asked_elsewhere += 1
        return JSONResponse({})

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer an access token"
        return JSONResponse(self.userinfo)

    async def _jwks(self, request: Request) -> Response:
        if self.is_down:
            return Response(status_code=503)
        self.key_fetches += 1
        return JSONResponse({"keys": [key.as_dict(private=False, use="sig") for key in self.keys]})


def new_key() -> RSAKey:
    return jwk.RSAKey.generate_key(2048, auto_kid=True)


def public_pem(issuer: Issuer) -> bytes:
    """Return the issuer's newest public key as PEM."""
    key = issuer.keys[-1]
    assert not isinstance(key, OctKey)
    return key.as_pem(private=False)
