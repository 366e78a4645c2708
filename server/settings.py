"""The settings: from flags, the environment and `.env`, checked before anything starts."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from db.records import SessionTime
from server.bodies import BodyLimits
from server.nats_options import AuthorityFile, CredentialsFile, tls_context
from server.trusted_documents import TrustedDocuments
from server.urls import RedirectUris, is_safe_url, origin_of, split_at_commas

PREFIX = "MESSENGER_"
# The path of a socket in it may have 104 bytes on some systems, 108 on others.
_MOST_SOCKET_FOLDER_BYTES = 80

# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what it should be."""


class LogFormat(Enum):
    """How a line of the log is written."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class RateLimitStore(Enum):
    """Where is counted what holds for all processes."""

    PROCESS = "process"
    DATABASE = "database"


class Settings(BaseSettings):
    """Everything that an operator may decide. Each field is the environment variable MESSENGER_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=256, description="How many processes serve.")
    public_url: str | None = Field(
        None,
        description="Where browsers reach the server. Default: http://localhost:PORT; required if"
        " MESSENGER_HOST is not a loopback address.",
    )
    database_url: str | None = Field(
        None,
        description="A PostgreSQL to use, as postgresql://user:password@host/database. Default: the embedded"
        " one in MESSENGER_DATA_DIR.",
    )
    database_pooler: bool = Field(
        False,
        description="MESSENGER_DATABASE_URL leads to a pooler in transaction mode, such as PgBouncer; a"
        " postgresql:// in MESSENGER_BROADCAST_URL has to lead past it.",
    )
    database_pool_size: int = Field(
        10, ge=2, le=1000, description="The most connections to the database that one process opens."
    )
    data_dir: Path = Field(Path(".messenger"), description="Where the embedded PostgreSQL keeps its data.")
    broadcast_url: str | None = Field(
        None,
        description="What carries the news of messages between processes: memory:// (one process),"
        " unix:///a/folder (the processes of one machine that share it), postgresql:// (the database; with a"
        " host, that address of it, past a pooler), or nats://user:password@one:4222,two:4222 (tls://"
        " likewise). Default: memory:// for one worker and a folder of their own for several.",
    )
    nats_credentials_file: CredentialsFile | None = Field(
        None, description="The credentials (.creds) that NATS asks for, if not in the URL."
    )
    nats_ca_file: AuthorityFile | None = Field(
        None, description="The certificate authority of the NATS servers, if not one that the system trusts."
    )
    nats_certificate_file: FilePath | None = Field(
        None, description="Our certificate, where NATS asks for one."
    )
    nats_key_file: FilePath | None = Field(None, description="The key of that certificate.")
    inbox_check_seconds: float = Field(
        5, gt=0, description="How often waiting streams are compared with the database, in seconds."
    )
    inbox_retention_days: float = Field(
        30, gt=0, description="How many days an inbox keeps its entries; messages are kept for good."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="What seals the cookies of sign-ins under way: at least 32 random characters, the same"
        " for all processes. Default: made once, beside the embedded database.",
    )
    dev_login: bool | None = Field(
        None,
        description="Sign-in by name alone, for development. Default: on where both MESSENGER_HOST and the"
        " public URL are this machine, for requests from this machine. If on, anyone who reaches the server"
        " can sign in as any user.",
    )
    session_days: float = Field(
        14, gt=0, le=3650, description="How many days a session lasts after its last use."
    )
    session_max_days: float = Field(
        180, gt=0, le=3650, description="How many days a session lasts at most, however much it is used."
    )
    session_cache_seconds: float = Field(
        5,
        ge=0,
        le=60,
        description="How long a process goes on believing a token without looking, in seconds. Signing out on"
        " another process is noticed after that.",
    )
    allowed_origins: Annotated[list[str], NoDecode] = Field(
        [],
        description="Origins of frontends elsewhere that browsers may call from, separated by commas, such"
        " as https://app.example.com.",
    )
    redirect_uris: RedirectUris = Field(
        [],
        description="Addresses of frontends elsewhere that sign-in with a provider may return to, separated"
        " by commas, such as https://app.example.com/signed-in. Each is compared as a whole.",
    )
    allowed_headers: Annotated[list[str], NoDecode] = Field(
        [],
        description="Request headers that these frontends may send besides the usual ones, separated by"
        " commas.",
    )
    github_client_id: str | None = Field(
        None, description="Sign-in with GitHub: the client id of the OAuth app."
    )
    github_client_secret: SecretStr | None = Field(None, description="The OAuth app's client secret.")
    github_url: str = Field(
        "https://github.com", description="Where GitHub is: another for a GitHub Enterprise Server."
    )
    oidc_issuer: str | None = Field(
        None,
        description="Sign-in with an OpenID provider: its issuer, such as https://id.example.com/realms/team.",
    )
    oidc_client_id: str | None = Field(None, description="The client id that the provider knows us by.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="The client secret; without one we are a public client."
    )
    oidc_name: str | None = Field(
        None, description="What to call the provider to people. Default: the issuer's host."
    )
    jwt_issuer: str | None = Field(
        None,
        description="An existing product whose JWTs sign its people in as bearer tokens: their `iss` claim.",
    )
    jwt_audience: str | None = Field(None, description="What their `aud` claim has to hold.")
    jwt_jwks_url: str | None = Field(
        None, description="Where the issuer's public keys are, as a JSON Web Key Set."
    )
    graphiql: bool = Field(True, description="Show GraphiQL to a browser at /graphql.")
    trusted_documents: FilePath | None = Field(
        None,
        description="A manifest that a frontend's code generator wrote, a JSON object from hashes to"
        " documents: nothing else is executed then.",
    )
    introspection: bool = Field(True, description="Answer questions about the schema itself.")
    plans: bool = Field(
        True,
        description="Compile operations into plans. Off: graphql-core executes them, which is slower, and"
        " long ones block their process until they are done. Switch it off to find out whether a plan is at"
        " fault.",
    )
    max_body_bytes: int = Field(256 * 1024, ge=1024, description="The largest request body, in bytes.")
    max_query_tokens: int = Field(5000, ge=1, description="The most tokens in a document.")
    max_query_depth: int = Field(15, ge=1, le=100, description="The most levels in an operation.")
    max_query_fields: int = Field(
        5000, ge=1, description="The most fields in an operation, with its fragments spread out."
    )
    max_query_aliases: int = Field(200, ge=0, description="The most aliases in an operation.")
    max_query_directives: int = Field(200, ge=0, description="The most directives in an operation.")
    rate_limits: bool = Field(
        True, description="Keep to the limits that follow; off lets everybody do as much as they like."
    )
    rate_limit_store: RateLimitStore | None = Field(
        None,
        description="Where sign-ins and messages are counted: process, or database for all processes"
        " together. Default: process for one worker and database for several.",
    )
    requests_per_minute_per_user: int = Field(
        1200, ge=1, description="How many requests one user may send, counted by each process."
    )
    requests_per_minute_per_address: int = Field(
        6000, ge=1, description="How many requests may come from one address, counted by each process."
    )
    cost_per_minute_per_user: int = Field(
        1_000_000,
        ge=1,
        description="How many fields may be executed for one user, events included, counted by each process."
        " Reading, checking and planning a new document counts as 100 fields a millisecond.",
    )
    cost_per_minute_per_address: int = Field(
        1_000_000,
        ge=1,
        description="How many fields may be executed for requests of one address that nobody is signed in"
        " for, counted in the same way.",
    )
    messages_per_minute_per_user: int = Field(300, ge=1, description="How many messages one user may write.")
    sign_ins_per_minute_per_address: int = Field(
        300, ge=1, description="How often one address may try to sign in."
    )
    max_streams_per_user: int = Field(
        100, ge=1, description="The most streams that one user may have open at a process."
    )
    max_streams_per_address: int = Field(
        1000, ge=1, description="The most streams that one address may have open at a process."
    )
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        [],
        description="Addresses or networks of proxies that are believed when they say whom they speak for"
        " (X-Forwarded-For), separated by commas. Without them all requests that a proxy passes on count as"
        " its own.",
    )
    max_reservations: int = Field(
        20, ge=1, description="The most streams in single connection mode that one user may hold."
    )
    max_stream_operations: int = Field(
        100, ge=1, description="The most operations that share one stream in single connection mode."
    )
    max_answer_fields: int = Field(
        125_000, ge=1, description="The most fields in an answer, if all of its pages were full."
    )
    max_event_fields: int = Field(
        1000,
        ge=1,
        description="The most fields in each event of a subscription, if all of its pages were full.",
    )
    max_answer_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, description="The largest answer or event, in bytes of JSON."
    )
    heartbeat_seconds: float = Field(
        12, gt=0, le=15, description="How often an idle stream shows that it is alive, in seconds."
    )
    read_timeout_seconds: float = Field(
        30,
        gt=0,
        description="How long a request's head may take to arrive, and then its body, in seconds.",
    )
    write_timeout_seconds: float = Field(
        30,
        gt=0,
        description="How long a stream waits for a client that does not read, and over how long the speed of"
        " reading other answers is measured, in seconds.",
    )
    min_read_bytes_per_second: int = Field(
        16 * 1024,
        ge=0,
        description="How fast a client has to read a large answer, in bytes per second; slower clients are"
        " disconnected.",
    )
    max_unread_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="The most bytes of answers that wait to be read in one process; beyond that the slowest"
        " clients are disconnected.",
    )
    keep_alive_seconds: int = Field(
        68,
        ge=1,
        description="How long an idle connection is kept open, in seconds; longer than a proxy in front keeps"
        " it.",
    )
    drain_seconds: float = Field(
        2, ge=0, description="Over how long open streams are ended when the server stops, in seconds."
    )
    shutdown_seconds: float = Field(
        7, gt=0, description="How long running requests may take to finish after that, in seconds."
    )
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="console, json, or auto: console in a terminal and json elsewhere."
    )

    def session_time(self) -> SessionTime:
        """Return how long a session lasts."""
        return SessionTime(timedelta(days=self.session_days), timedelta(days=self.session_max_days))

    def body_limits(self) -> BodyLimits:
        """Return how long a request's body may be, and how long it may take."""
        return BodyLimits(self.max_body_bytes, self.read_timeout_seconds)

    @field_validator("trusted_documents")
    @classmethod
    def _check_trusted_documents(cls, path: Path | None) -> Path | None:
        TrustedDocuments.from_file(path)
        return path

    @field_validator("allowed_origins", "allowed_headers", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_at_commas(value)

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if origin_of(origin) != origin:
                raise ValueError(f"{origin!r} is no origin: write it like https://app.example.com")
        return origins

    @field_validator("allowed_headers")
    @classmethod
    def _check_headers(cls, headers: list[str]) -> list[str]:
        for header in headers:
            if not _HEADER_NAME.fullmatch(header):
                raise ValueError(f"{header!r} is not the name of a header, such as x-client-version")
        return headers

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"{proxy!r} is no address or network, like 10.0.0.7 or 10.0.0.0/8"
                ) from error
        return proxies

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if url is not None and origin_of(url) != url.rstrip("/"):
            raise ValueError("write it like https://chat.example.com, without a path")
        return url.rstrip("/") if url else url

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError("give at least 32 random characters, as `openssl rand -hex 32` makes them")
        return key

    @field_validator("github_url", "oidc_issuer", "jwt_jwks_url")
    @classmethod
    def _check_provider(cls, url: str | None) -> str | None:
        if url is not None and not is_safe_url(url):
            raise ValueError("write it like https://id.example.com; plain http is for localhost only")
        return url

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
            raise ValueError("write it like postgresql://user:password@host:5432/database")
        return f"postgresql://{rest}"

    @field_validator("broadcast_url")
    @classmethod
    def _check_broadcast_url(cls, url: str | None) -> str | None:
        scheme, separator, rest = (url or "memory://").partition("://")
        if not separator or scheme not in {"memory", "unix", "postgresql", "nats", "tls"}:
            raise ValueError("write it like memory://, unix:///folder, postgresql:// or nats://host:4222")
        if scheme == "unix" and not (Path(rest).is_absolute() and Path(rest).is_dir()):
            raise ValueError("name a folder that exists, by its whole path, like unix:///run/messenger")
        if scheme == "unix" and len(os.fsencode(rest)) > _MOST_SOCKET_FOLDER_BYTES:
            raise ValueError(
                f"a socket's folder may have a path of {_MOST_SOCKET_FOLDER_BYTES} bytes at most"
            )
        if scheme in {"nats", "tls"} and not rest:
            raise ValueError(f"name the servers, like {scheme}://host:4222")
        return url

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.nats_certificate_file is not None:
            try:
                tls_context(None, self.nats_certificate_file, self.nats_key_file)
            except ValueError as error:
                raise PydanticCustomError(
                    "nats_certificate_file", "{reason}", {"reason": str(error)}
                ) from error
        if self.workers > 1 and self.broadcast_url == "memory://":
            raise PydanticCustomError(
                "broadcast_url", "memory:// serves one worker only: leave it out, or take postgresql://"
            )
        return self


def load_settings(**flags: Any) -> Settings:
    """Return the settings; flags that are not None go before the environment, that before `.env`.

    Raises:
        SettingsError: one is wrong. The message is one line.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else None
        # What is wrong with several together is named in the type of our own error.
        name = PREFIX + (field or first["type"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        shown = "" if field is None or _is_secret(field) else f" (it is {first['input']!r})"
        raise SettingsError(f"{name} is wrong: {reason}{shown}") from error
    _check_complete(settings)
    return settings


def _check_complete(settings: Settings) -> None:
    """Refuse settings of which one needs another that is not there."""
    needs = [
        ("github_client_id", "github_client_secret"),
        ("github_client_secret", "github_client_id"),
        ("oidc_issuer", "oidc_client_id"),
        ("oidc_client_id", "oidc_issuer"),
        ("jwt_issuer", "jwt_audience"),
        ("jwt_audience", "jwt_jwks_url"),
        ("jwt_jwks_url", "jwt_issuer"),
        ("nats_key_file", "nats_certificate_file"),
    ]
    # Without a place of our own to keep one, and with several processes, it has to be given.
    if settings.database_url is not None:
        needs += [("github_client_id", "secret_key"), ("oidc_issuer", "secret_key")]
    for one, other in needs:
        if getattr(settings, one) is not None and getattr(settings, other) is None:
            raise SettingsError(
                f"{PREFIX}{other.upper()} is missing: with {PREFIX}{one.upper()} it has to be set"
                + (" (`openssl rand -hex 32` makes one)" if other == "secret_key" else "")
            )


def unknown_settings(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names in the environment that look like settings and are none: mistyped, most likely."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _is_secret(field: str) -> bool:
    return field in {"database_url", "broadcast_url"} or "SecretStr" in str(
        Settings.model_fields[field].annotation
    )
