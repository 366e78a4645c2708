"""Validating the lists in the settings: origins, header names, and networks."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from server.config.quoting import quoted
from server.config.urls import origin_of, split_at_commas

# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _each(is_valid: Callable[[str], bool], expected: str) -> AfterValidator:
    def check(values: list[str]) -> list[str]:
        for value in values:
            if not is_valid(value):
                raise ValueError(f"contains {quoted(value)}, which is not {expected}")
        return values

    return AfterValidator(check)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


Origins = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(split_at_commas),
    _each(lambda origin: origin_of(origin) == origin, "an origin such as https://app.example.com"),
]
HeaderNames = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(split_at_commas),
    _each(
        lambda name: _HEADER_NAME.fullmatch(name) is not None,
        "the name of a header such as x-client-version",
    ),
]
Networks = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(split_at_commas),
    _each(_is_network, "an address or network such as 10.0.0.7 or 10.0.0.0/8"),
]
