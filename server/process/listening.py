"""The listening socket, and what its address implies: the public URL, and sign-in for development."""

import errno
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

from server.config.loopback import is_loopback
from server.config.settings import Settings
from server.process.start import CannotStart

# How many unsent bytes the kernel buffers. By default it takes megabytes for a client that does not read.
_UNSENT_BYTES = 64 * 1024


def listening_socket(settings: Settings) -> socket.socket:
    """Return a socket bound to the address in the settings.

    Its connections break when sent data is not acknowledged for `write_timeout_seconds`, and the kernel
    buffers little unsent data.

    Raises:
        CannotStart: the address is in use, or does not belong to this machine; or other machines can reach it
            and MESSENGER_PUBLIC_URL is not set.
    """
    host, port = settings.host, settings.port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if settings.public_url is None and not is_loopback(str(address[0])):
            raise CannotStart(
                f"MESSENGER_PUBLIC_URL is missing: MESSENGER_HOST={host} lets other machines connect. Set it"
                " to the address that browsers use, such as https://chat.example.com"
            )
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # The kernel drops a connection whose client does not acknowledge or read for this long, such as a
            # sleeping laptop. Accepted connections inherit both options.
            milliseconds = round(settings.write_timeout_seconds * 1000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            # Data in flight does not count, so connections with a long round trip stay fast.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listening.bind(address)
    except (OSError, UnicodeError) as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {_reason(error)}") from error
    return listening


def _reason(error: OSError | UnicodeError) -> str:
    """Return why the server cannot listen on the address, and what to do."""
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return "another process is listening there. Stop it, or choose another port with MESSENGER_PORT"
        case OSError(errno=errno.EACCES):
            return "ports below 1024 require privileges. Choose another one with MESSENGER_PORT"
        case OSError(errno=errno.EADDRNOTAVAIL):
            return "this machine does not have the address. Set MESSENGER_HOST"
        case OSError(strerror=str(reason)):
            return f"{reason}. Set MESSENGER_HOST and MESSENGER_PORT"
        case _:
            return "this is not a host name or address. Set MESSENGER_HOST"


def public_url_of(settings: Settings, listening: socket.socket) -> str:
    """Return the URL at which browsers reach the server, without a slash at the end."""
    if settings.public_url is not None:
        return settings.public_url
    host, port = _bound_to(listening)
    # `localhost` resolves to these two addresses only, not to others in 127.0.0.0/8.
    return f"http://localhost:{port}" if host in {"127.0.0.1", "::1"} else shown_address(listening)


def offers_dev_login(settings: Settings, listening: socket.socket) -> bool:
    """Return whether the server offers sign-in by name, without a password.

    By default it does only if both the listening address and the public URL are loopback ones. The public
    URL alone does not say who can connect.
    """
    if settings.dev_login is not None:
        return settings.dev_login
    host, _ = _bound_to(listening)
    return is_loopback(host) and is_loopback(urlsplit(public_url_of(settings, listening)).hostname)


def shown_address(listening: socket.socket) -> str:
    """Return the listening address as a URL."""
    host, port = _bound_to(listening)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _bound_to(listening: socket.socket) -> tuple[str, int]:
    name: Any = listening.getsockname()
    return name[0], name[1]
