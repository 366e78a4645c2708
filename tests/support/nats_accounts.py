"""A NATS that knows its users by JWT: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/jwt."""

import json
import secrets
import time
from base64 import b32encode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import nkeys


@dataclass(frozen=True)
class Holder:
    """An operator, an account or a user, with its signing key."""

    kind: str
    seed: bytes
    name: str

    @classmethod
    def new(cls, kind: str) -> "Holder":
        prefix: int = getattr(nkeys, f"PREFIX_BYTE_{kind.upper()}")
        seed = nkeys.encode_seed(secrets.token_bytes(32), prefix)
        key = nkeys.from_seed(seed)
        return cls(kind, seed, key.public_key.decode())

    def vouches_for(self, other: "Holder", **claims: Any) -> str:
        """Return a JWT for the other one, signed by this one."""
        body: dict[str, Any] = {
            "iat": int(time.time()),
            "iss": self.name,
            "sub": other.name,
            "name": other.kind,
            "nats": {"type": other.kind, "version": 2, **claims},
        }
        body["jti"] = b32encode(sha256(json.dumps(body).encode()).digest()).rstrip(b"=").decode()
        signed = ".".join(map(_part, ({"typ": "JWT", "alg": "ed25519-nkey"}, body)))
        key = nkeys.from_seed(self.seed)
        signature = key.sign(signed.encode())
        return f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(content: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


UNLIMITED = {
    "limits": {
        **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
        "wildcards": True,
    }
}


class Accounts:
    """An operator with one account that may have users."""

    def __init__(self) -> None:
        self._operator, self._account = Holder.new("operator"), Holder.new("account")

    def configuration(self) -> str:
        """Return the configuration with which a server accepts them."""
        operator = self._operator.vouches_for(self._operator)
        account = self._operator.vouches_for(self._account, **UNLIMITED)
        return f"""
            operator: "{operator}"
            resolver: MEMORY
            resolver_preload: {{ {self._account.name}: "{account}" }}
        """

    def write_credentials(self, path: Path) -> Path:
        """Write the .creds file of a new user in the format of `nsc`."""
        user = Holder.new("user")
        token = self._account.vouches_for(user, subs=-1, data=-1, payload=-1)
        path.write_text(f"""-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
{user.seed.decode()}
------END USER NKEY SEED------
""")
        return path
