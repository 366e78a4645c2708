"""The secret that seals what browsers keep for us, and the seal."""

import hmac
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from server.config.settings import Settings

_KEY_FILE = "secret.key"
_HEADER = {"alg": "dir", "enc": "A256GCM"}


def secret_key(settings: Settings) -> bytes:
    """Return MESSENGER_SECRET_KEY, or without it the one beside the embedded database, made when missing."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if settings.database_url is not None:
        # Nothing is sealed then: with a provider the settings are refused.
        return secrets.token_bytes(32)
    path = settings.data_dir / _KEY_FILE
    if not path.exists():
        _write_once(path, secrets.token_hex(32))
    elif path.stat().st_uid == os.geteuid():
        # One that was copied here may be open to others.
        path.chmod(0o600)
    return path.read_bytes()


def _write_once(path: Path, text: str) -> None:
    """Make the file whole and for its owner only; the one that another process was quicker with stays."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()


class Seal:
    """Makes text of values that nobody else can read or change: AES-256-GCM, as a compact JWE (RFC 7516)."""

    def __init__(self, key: bytes, purpose: str) -> None:
        """Derive the seal's own key: what is sealed for one purpose opens for no other."""
        self._key = OctKey.import_key(hmac.digest(key, purpose.encode(), "sha256"))
        self._head = self._encrypt("").partition(".")[0]

    def close(self, value: dict[str, Any], lasts_seconds: int) -> str:
        """Return the value as text that `open` takes for that long."""
        sealed = {"until": time.time() + lasts_seconds, "value": value}
        return self._encrypt(json.dumps(sealed))

    def open(self, text: str) -> dict[str, Any] | None:
        """Return the value; None for what was not sealed here, or is too old."""
        # The header is always the same, and the library stumbles over some others, each in its own way.
        if text.partition(".")[0] != self._head:
            return None
        try:
            plaintext = jwe.decrypt_compact(text, self._key, list(_HEADER.values())).plaintext
        except (JoseError, ValueError):
            return None
        sealed = json.loads(plaintext or b"")
        return sealed["value"] if sealed["until"] > time.time() else None

    def _encrypt(self, text: str) -> str:
        return jwe.encrypt_compact(_HEADER, text, self._key, list(_HEADER.values()))
