"""The URLs in the settings: origins, servers that we ask, and addresses that people are sent to."""

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from server.config.loopback import is_loopback

MAX_ADDRESS_CHARS = 2000


def origin_of(url: str) -> str | None:
    """Return the URL's origin, or None if it is not an http or https URL, or has a user name."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}"


def is_private_on_the_way(url: str) -> bool:
    """Say whether what is sent to the URL can be read by its server only: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def is_safe_url(url: str) -> bool:
    """Say whether the URL names another server that can be asked without anybody in between."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        return False
    return is_private_on_the_way(url)


def split_at_commas(value: object) -> object:
    """Return the parts of a list that is written as one text."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _checked(addresses: list[str]) -> list[str]:
    for address in addresses:
        problem = _problem_with(address)
        if problem is not None:
            raise ValueError(f"{address!r} cannot be redirected to: {problem}")
    return addresses


def _problem_with(address: str) -> str | None:
    """Return why the address is not one to send codes to.

    https://www.rfc-editor.org/rfc/rfc9700#section-2.6 on plain http.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return "it is not a URL"
    if origin_of(address) is None or not address.isprintable() or len(address) > MAX_ADDRESS_CHARS:
        return "write the whole address of a page, like https://app.example.com/signed-in"
    if not is_private_on_the_way(address):
        return "it needs https; plain http is for localhost only"
    if "#" in address or "*" in address:
        return "it must be the exact address, without # and without wildcards"
    if not {"code", "state"}.isdisjoint(parse_qs(parts.query, keep_blank_values=True)):
        return "its query must not contain `code` or `state`, which the server adds"
    return None


RedirectUris = Annotated[list[str], NoDecode, BeforeValidator(split_at_commas), AfterValidator(_checked)]
