"""Validating the URLs in the settings: origins, other servers, broadcasters, and addresses to redirect to."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from server.config.loopback import is_loopback
from server.config.quoting import quoted

MAX_ADDRESS_CHARS = 2000
# Some systems limit the path of a Unix socket to 104 bytes, others to 108.
_MAX_SOCKET_FOLDER_BYTES = 80


def origin_of(url: str) -> str | None:
    """Return the URL's origin, or None if it is not an http or https URL or contains a user name."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}"


def is_confidential(url: str) -> bool:
    """Return whether the network cannot read what is sent to the URL: it is https, or a loopback host."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def is_safe_url(url: str) -> bool:
    """Return whether the URL names a server that can be reached confidentially, and nothing else."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        return False
    return is_confidential(url)


def split_at_commas(value: object) -> object:
    """Split a list that is written as one comma-separated string."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _checked(addresses: list[str]) -> list[str]:
    for address in addresses:
        problem = _problem_with(address)
        if problem is not None:
            raise ValueError(f"contains {quoted(address)}, which {problem}")
    return addresses


def _problem_with(address: str) -> str | None:
    """Return why codes must not be sent to the address, or None if they may.

    Plain http is excluded by https://www.rfc-editor.org/rfc/rfc9700#section-2.6.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return "is not a URL"
    if origin_of(address) is None or not address.isprintable() or len(address) > MAX_ADDRESS_CHARS:
        return "must be the full URL of a page, such as https://app.example.com/signed-in"
    if not is_confidential(address):
        return "must use https; http is allowed for localhost only"
    if "#" in address or "*" in address:
        return "must be an exact URL, without # and without wildcards"
    if not {"code", "state"}.isdisjoint(parse_qs(parts.query, keep_blank_values=True)):
        return "must not contain `code` or `state` in its query, because the server adds them"
    return None


RedirectUris = Annotated[list[str], NoDecode, BeforeValidator(split_at_commas), AfterValidator(_checked)]


def _checked_broadcast_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"memory", "unix", "postgresql", "nats", "tls"}:
        raise ValueError("must be a URL such as memory://, unix:///folder, postgresql:// or nats://host:4222")
    if scheme == "unix" and not (Path(rest).is_absolute() and Path(rest).is_dir()):
        raise ValueError("must name an existing folder by its absolute path, such as unix:///run/messenger")
    if scheme == "unix" and len(os.fsencode(rest)) > _MAX_SOCKET_FOLDER_BYTES:
        raise ValueError(f"must have a path of at most {_MAX_SOCKET_FOLDER_BYTES} bytes")
    if scheme in {"nats", "tls"} and not rest:
        raise ValueError(f"must name the servers, such as {scheme}://host:4222")
    return url


BroadcastUrl = Annotated[str, AfterValidator(_checked_broadcast_url)]
