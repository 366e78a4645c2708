"""Content negotiation: https://www.rfc-editor.org/rfc/rfc9110#name-accept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request

from server.http.headers import first_headers, header

_MAX_CHARS = 2000
_MAX_CACHED_CHARS = 300


@dataclass(frozen=True, slots=True)
class _Range:
    media_type: str
    quality: float
    index: int

    def specificity(self, offer: str) -> int:
        """Return how specifically the range matches: 3 for the same type, 2 for `type/*`, 1 for `*/*`."""
        if self.media_type == offer:
            return 3
        if self.media_type == offer.split("/", 1)[0] + "/*":
            return 2
        return int(self.media_type == "*/*")


def accept_of(request: Request) -> str | None:
    """Return the Accept header; several lines are joined into one list."""
    headers = request.scope["headers"]
    if len(first_headers(request.scope)) == len(headers):
        return header(request, b"accept") or None
    lines = [value.decode("latin-1") for name, value in headers if name == b"accept"]
    return ", ".join(lines) or None


def best_match(accept: str | None, offers: Sequence[str]) -> str | None:
    """Return the offer that the header prefers, or None if it accepts none of them.

    The highest quality wins, then the order in the header, then the order of the offers. Parameters other
    than `q` are ignored. Without a header, or with one of more than 2,000 characters, which no client sends,
    it is the first offer.
    """
    if accept is not None and len(accept) > _MAX_CHARS:
        accept = None
    if accept is not None and len(accept) > _MAX_CACHED_CHARS:
        return _best_match(accept, tuple(offers))
    return _cached_match(accept, tuple(offers))


def _best_match(accept: str | None, offers: tuple[str, ...]) -> str | None:
    ranges = [_parse(part, index) for index, part in enumerate((accept or "").split(",")) if part.strip()]
    if not ranges:
        return offers[0]
    ranked: list[tuple[float, int, int, str]] = []
    for place, offer in enumerate(offers):
        named = max(ranges, key=lambda each: (each.specificity(offer), -each.index))
        if named.specificity(offer) and named.quality > 0:
            ranked.append((-named.quality, named.index, place, offer))
    return min(ranked)[-1] if ranked else None


# A client sends the same header with each request.
_cached_match = lru_cache(128)(_best_match)


def _parse(part: str, index: int) -> _Range:
    media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = min(max(float(value), 0.0), 1.0)
            except ValueError:
                quality = 0.0
    return _Range(media_type, quality, index)
