"""The address that the server listens on, and what follows from it."""

import socket
import sys
from typing import Any
from urllib.parse import urlsplit

from server.config.loopback import is_loopback
from server.config.settings import Settings
from server.process.start import CannotStart

# What the kernel takes of us beyond what it has sent: by default megabytes, for a client that does not read.
_UNSENT_BYTES = 64 * 1024


def listening_socket(settings: Settings) -> socket.socket:
    """Return a socket bound to the settings' address.

    Its connections break when what is sent stays unread for `write_timeout_seconds`, and hold little of it.

    Raises:
        CannotStart: the address is in use, or does not belong to this machine; or other machines reach it
            and MESSENGER_PUBLIC_URL is not set.
    """
    host, port = settings.host, settings.port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if settings.public_url is None and not is_loopback(str(address[0])):
            raise CannotStart(
                f"MESSENGER_PUBLIC_URL is missing: with MESSENGER_HOST={host} other machines can reach the"
                " server, so set it to the address that browsers use, such as https://chat.example.com"
            )
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # What a client does not acknowledge or read for this long, the kernel gives up: a laptop that
            # went to sleep sends no farewell. Accepted connections inherit both.
            milliseconds = round(settings.write_timeout_seconds * 1000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            # What is on its way to a client that reads is not counted, so a long way stays fast.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listening.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror}; set MESSENGER_HOST and MESSENGER_PORT"
        ) from error
    return listening


def public_url_of(settings: Settings, listening: socket.socket) -> str:
    """Return where browsers reach a server that listens there."""
    if settings.public_url is not None:
        return settings.public_url
    host, port = _bound_to(listening)
    # localhost leads to these two addresses only, not to the rest of 127.0.0.0/8.
    return f"http://localhost:{port}" if host in {"127.0.0.1", "::1"} else shown_address(listening)


def offers_dev_login(settings: Settings, listening: socket.socket) -> bool:
    """Say whether the server offers sign-in by name alone.

    By default only where nothing but this machine can reach it: it listens on a loopback address, and
    browsers know it by one. The public URL alone would say nothing of who can connect.
    """
    if settings.dev_login is not None:
        return settings.dev_login
    host, _ = _bound_to(listening)
    return is_loopback(host) and is_loopback(urlsplit(public_url_of(settings, listening)).hostname)


def shown_address(listening: socket.socket) -> str:
    """Return the address that the server listens on, as a URL."""
    host, port = _bound_to(listening)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _bound_to(listening: socket.socket) -> tuple[str, int]:
    name: Any = listening.getsockname()
    return name[0], name[1]
