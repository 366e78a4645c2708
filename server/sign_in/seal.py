"""Encrypting values that browsers keep, and the secret key for that."""

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
    """Return MESSENGER_SECRET_KEY, or the key next to the embedded database, which is created if missing."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if settings.database_url is not None:
        # The key is not used then, as the settings require one if there is a provider.
        return secrets.token_bytes(32)
    path = settings.data_dir / _KEY_FILE
    if not path.exists():
        _write_once(path, secrets.token_hex(32))
    elif path.stat().st_uid == os.geteuid():
        # A copied file may be readable by other users.
        path.chmod(0o600)
    return path.read_bytes()


def _write_once(path: Path, text: str) -> None:
    """Create the file atomically, readable by its owner only, unless another process has just created it."""
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
    """Encrypts and authenticates values with AES-256-GCM, as a compact JWE (RFC 7516)."""

    def __init__(self, key: bytes, purpose: str) -> None:
        """Derive a key for this purpose; values cannot be opened for another purpose."""
        self._key = OctKey.import_key(hmac.digest(key, purpose.encode(), "sha256"))
        self._head = self._encrypt("").partition(".")[0]

    def close(self, value: dict[str, Any], lasts_seconds: int) -> str:
        """Encrypt the value; `open` accepts the result for that many seconds."""
        sealed = {"until": time.time() + lasts_seconds, "value": value}
        return self._encrypt(json.dumps(sealed))

    def open(self, text: str) -> dict[str, Any] | None:
        """Decrypt the value, or return None if the text is not valid or has expired."""
        # The header is always the same; the library raises all kinds of exceptions for malformed ones.
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
