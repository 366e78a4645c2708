"""Opening the broadcaster that the settings name."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from db.urls import libpq_url
from realtime.broadcaster import Broadcaster
from realtime.relays.nats import open_nats_relay
from realtime.relays.postgres import open_postgres_relay
from realtime.relays.unix_sockets import open_unix_relay
from realtime.subscribers import Subscribers
from server.config.nats_options import Credentials, deciding_setting, nats_servers, tls_context
from server.config.settings import Settings


@asynccontextmanager
async def open_broadcaster(settings: Settings, database_url: str) -> AsyncGenerator[Broadcaster]:
    """Yield the broadcaster for MESSENGER_BROADCAST_URL, which is connected while the block runs."""
    subscribers = Subscribers()
    url = settings.broadcast_url or "memory://"
    match urlsplit(url).scheme:
        case "memory":
            yield Broadcaster(subscribers)
        case "unix":
            async with open_unix_relay(Path(urlsplit(url).path), subscribers) as relay:
                yield Broadcaster(subscribers, relay)
        case "postgresql":
            # Without a host, it is the database's own server.
            address = libpq_url(database_url) if url == "postgresql://" else url
            async with open_postgres_relay(address, subscribers) as relay:
                yield Broadcaster(subscribers, relay)
        case _:
            servers, options = nats_servers(url)
            options |= _nats_options(settings)
            async with open_nats_relay(servers, options, subscribers, deciding_setting) as relay:
                yield Broadcaster(subscribers, relay)


def _nats_options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if settings.nats_credentials_file is not None:
        credentials = Credentials(settings.nats_credentials_file)
        options |= {"user_jwt_cb": credentials.jwt, "signature_cb": credentials.sign}
    files = (settings.nats_ca_file, settings.nats_certificate_file, settings.nats_key_file)
    if any(files) or (settings.broadcast_url or "").startswith("tls://"):
        options["tls"] = tls_context(*files)
    return options
