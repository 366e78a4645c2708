"""Which broadcaster the settings ask for."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from db.urls import libpq_url
from realtime.broadcaster import Broadcaster
from realtime.nats import open_nats_relay
from realtime.postgres import open_postgres_relay
from realtime.subscribers import Subscribers
from server.settings import Settings


@asynccontextmanager
async def open_broadcaster(settings: Settings, database_url: str) -> AsyncGenerator[Broadcaster]:
    """Yield the broadcaster of MESSENGER_BROADCAST_URL, connected for as long as the block runs."""
    subscribers = Subscribers()
    url = settings.broadcast_url or ("memory://" if settings.workers == 1 else "postgresql://")
    match urlsplit(url).scheme:
        case "memory":
            yield Broadcaster(subscribers)
        case "postgresql":
            # Without a host it is the database itself.
            address = libpq_url(database_url) if url == "postgresql://" else url
            async with open_postgres_relay(address, subscribers) as relay:
                yield Broadcaster(subscribers, relay)
        case _:
            servers, credentials = nats_servers(url)
            options = {**credentials, **_nats_options(settings)}
            async with open_nats_relay(servers, options, subscribers) as relay:
                yield Broadcaster(subscribers, relay)


def nats_servers(url: str) -> tuple[list[str], dict[str, str]]:
    """Return the servers in `nats://user:password@one:4222,two:4222`, and nats-py's options to sign in there.

    Credentials are percent-encoded, as in any URL; without a colon they are a token.
    """
    scheme, _, rest = url.partition("://")
    credentials, _, hosts = rest.rpartition("@")
    servers = [f"{scheme}://{host.strip()}" for host in hosts.split(",") if host.strip()]
    user, colon, password = credentials.partition(":")
    if colon:
        return servers, {"user": unquote(user), "password": unquote(password)}
    return servers, {"token": unquote(user)} if user else {}


def _nats_options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if settings.nats_credentials_file is not None:
        options["user_credentials"] = str(settings.nats_credentials_file)
    if settings.nats_ca_file is not None or settings.nats_certificate_file is not None:
        tls = ssl.create_default_context(cafile=settings.nats_ca_file)
        if settings.nats_certificate_file is not None:
            tls.load_cert_chain(settings.nats_certificate_file, settings.nats_key_file)
        options["tls"] = tls
    return options
