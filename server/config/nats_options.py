"""The options for connecting to NATS, from the settings: servers, credentials and TLS."""

import base64
import re
import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import nats.errors
import nkeys
from pydantic import AfterValidator

from server.config.paths import ExistingFile

_JWT = re.compile(rb"-BEGIN NATS USER JWT-+\s+([\w.-]+)\s")
_SEED = re.compile(rb"-BEGIN USER NKEY SEED-+\s+(\w+)\s")


def nats_servers(url: str) -> tuple[list[str], dict[str, Any]]:
    """Return the servers in `nats://user:password@one:4222,two:4222`, and nats-py's authentication options.

    Credentials are percent-encoded, as in any URL. Without a colon they are a token.
    """
    scheme, _, rest = url.partition("://")
    credentials, _, hosts = rest.rpartition("@")
    servers = [f"{scheme}://{host.strip()}" for host in hosts.split(",") if host.strip()]
    user, colon, password = credentials.partition(":")
    if colon:
        return servers, {"user": unquote(user), "password": unquote(password)}
    return servers, {"token": unquote(user)} if user else {}


def tls_context(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the authority, by default the system's, and presents the certificate.

    Raises:
        ValueError: a file cannot be read, or its content is not valid.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"must be a file of certificates in PEM ({_reason(error)})") from error
    if certificate_file is not None:
        try:
            # Without a password, OpenSSL would ask for one at the terminal if the key is encrypted.
            context.load_cert_chain(certificate_file, key_file, password="")
        except OSError as error:
            raise ValueError(
                f"must be a certificate in PEM that fits MESSENGER_NATS_KEY_FILE ({_reason(error)})"
            ) from error
    return context


def _reason(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)


class Credentials:
    """A .creds file: the JWT of a NATS user, and the seed of their signing key.

    It is read again for each connection, so it can be replaced while the server runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def jwt(self) -> bytes:
        """Return the user's JWT.

        Raises:
            InvalidUserCredentialsError: the file does not contain one.
        """
        return self._found(_JWT)

    def sign(self, nonce: str) -> bytes:
        """Return the signature of the nonce that NATS sent for this connection.

        Raises:
            InvalidUserCredentialsError: the file does not contain a valid key.
        """
        try:
            key = nkeys.from_seed(self._found(_SEED))
        except (nkeys.NkeysError, ValueError) as error:
            raise nats.errors.InvalidUserCredentialsError from error
        signature = key.sign(nonce.encode())
        return base64.b64encode(signature)

    def check(self) -> None:
        """Check that the file contains a JWT and a valid key.

        Raises:
            ValueError: it does not.
        """
        try:
            self.jwt()
            self.sign("nonce")
        except (OSError, nats.errors.Error) as error:
            raise ValueError("must be a file with the JWT and seed of a NATS user") from error

    def _found(self, pattern: re.Pattern[bytes]) -> bytes:
        found = pattern.search(self._path.read_bytes())
        if found is None:
            raise nats.errors.InvalidUserCredentialsError
        return found[1]


def _with_credentials(path: Path) -> Path:
    Credentials(path).check()
    return path


def _with_authority(path: Path) -> Path:
    tls_context(path, None, None)
    return path


CredentialsFile = Annotated[ExistingFile, AfterValidator(_with_credentials)]
AuthorityFile = Annotated[ExistingFile, AfterValidator(_with_authority)]


def deciding_setting(error: Exception) -> str | None:
    """Return the settings to check when a connection to NATS fails with this error, if any."""
    match error:
        case ssl.SSLCertVerificationError():
            return "MESSENGER_NATS_CA_FILE"
        case ssl.SSLError():
            return "MESSENGER_NATS_CERTIFICATE_FILE"
        case nats.errors.SecureConnWantedError():
            return "MESSENGER_BROADCAST_URL"
        case nats.errors.InvalidUserCredentialsError():
            return "MESSENGER_NATS_CREDENTIALS_FILE"
        case _ if "authorization" in str(error).lower():
            return "MESSENGER_NATS_CREDENTIALS_FILE or MESSENGER_BROADCAST_URL"
        case _:
            return None
