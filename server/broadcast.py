"""Which broadcaster the settings ask for."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

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
            async with open_nats_relay(nats_servers(url), _nats_options(settings), subscribers) as relay:
                yield Broadcaster(subscribers, relay)


def nats_servers(url: str) -> list[str]:
    """Return the servers in `nats://user:password@one:4222,two:4222`, each with scheme and credentials."""
    scheme, _, rest = url.partition("://")
    credentials, at, hosts = rest.rpartition("@")
    return [f"{scheme}://{credentials}{at}{host.strip()}" for host in hosts.split(",") if host.strip()]


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
