"""The two servers that the load generator speaks to, and how each is spoken to."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import bare_asgi, messenger
from bench.http import Address, request
from bench.population import Pair


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and the requests by which the first of a pair writes and the second listens.

    `write` takes the text, `listen` the GraphQL document; `marker` stands in every good answer to a message.
    """

    pid: int
    address: Address
    write: Callable[[Pair, str], bytes]
    listen: Callable[[Pair, str], bytes]
    marker: bytes


def messenger_at(pid: int, address: Address) -> Server:
    """Speak to the messenger."""
    return Server(
        pid,
        address,
        messenger.create_message,
        lambda pair, document: messenger.subscribe(pair.other, document),
        messenger.MESSAGE_STORED,
    )


def bare_at(pid: int, address: Address) -> Server:
    """Speak to the bare application, which passes on what it is given: an event like the messenger's."""

    def path(pair: Pair) -> str:
        return f"/{pair.other.user_id}"

    return Server(
        pid,
        address,
        lambda pair, content: request("POST", path(pair), {}, messenger.event_like(pair, content)),
        lambda pair, _document: request("GET", path(pair), {}),
        bare_asgi.ANSWER,
    )
