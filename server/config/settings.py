"""The settings: what an operator can set, and what each value must be."""

from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from db.records import SessionTime
from db.urls import is_database_url
from server.config.lists import HeaderNames, Networks, Origins
from server.config.manifests import read_manifest
from server.config.nats_options import AuthorityFile, CredentialsFile, tls_context
from server.config.paths import Directory, ExistingFile
from server.config.urls import BroadcastUrl, RedirectUris, is_safe_url, origin_of

PREFIX = "MESSENGER_"


class LogFormat(Enum):
    """The format of log lines."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class RateLimitStore(Enum):
    """Where sign-ins and messages are counted."""

    PROCESS = "process"
    DATABASE = "database"


class Settings(BaseSettings):
    """All settings. Each field is the environment variable MESSENGER_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 selects a free port.")
    workers: int = Field(1, ge=1, le=256, description="Number of worker processes.")
    worker_timeout_seconds: float = Field(
        30,
        ge=1,
        le=86_400,
        description="How long a worker may take to respond before it is killed and replaced, in seconds.",
    )
    public_url: str | None = Field(
        None,
        description="Address that browsers use. Default: http://localhost:PORT. Required if MESSENGER_HOST"
        " is not a loopback address.",
    )
    database_url: str | None = Field(
        None,
        description="PostgreSQL database, as postgresql://user:password@host/database. Default: an embedded"
        " PostgreSQL with its data in MESSENGER_DATA_DIR.",
    )
    database_pooler: bool = Field(
        False,
        description="Whether MESSENGER_DATABASE_URL is a pooler in transaction mode, such as PgBouncer. A"
        " postgresql:// URL in MESSENGER_BROADCAST_URL must then bypass it.",
    )
    database_pool_size: int = Field(
        10, ge=2, le=1000, description="Maximum number of database connections per process."
    )
    data_dir: Directory = Field(Path(".messenger"), description="Data directory of the embedded PostgreSQL.")
    broadcast_url: BroadcastUrl | None = Field(
        None,
        description="How processes notify each other of new messages: memory:// (one process),"
        " unix:///a/folder (processes on one machine that share the folder), postgresql:// (the database;"
        " with a host, that server, to bypass a pooler), or nats://user:password@one:4222,two:4222 (tls://"
        " requires TLS). Default: memory:// for one worker, and a private folder for several.",
    )
    nats_credentials_file: CredentialsFile | None = Field(
        None, description="NATS credentials file (.creds), if the URL contains no credentials."
    )
    nats_ca_file: AuthorityFile | None = Field(
        None, description="Certificate authority of the NATS servers, if the system does not trust it."
    )
    nats_certificate_file: ExistingFile | None = Field(
        None, description="Client certificate for NATS, if the NATS servers require one."
    )
    nats_key_file: ExistingFile | None = Field(
        None, description="Private key of the NATS client certificate."
    )
    inbox_check_seconds: float = Field(
        5, gt=0, le=86_400, description="How often idle streams are compared with the database, in seconds."
    )
    inbox_retention_days: float = Field(
        30,
        gt=0,
        le=36_500,
        description="How long inbox entries are kept, in days. Messages are kept indefinitely.",
    )
    edit_seconds: int = Field(
        3600,
        ge=0,
        le=315_360_000,
        description="How long authors can edit a message after sending it, in seconds; 0 disables editing.",
    )
    read_marks_max_participants: int = Field(
        32,
        ge=0,
        le=1000,
        description="Maximum number of participants in conversations that show who has read a message; 0"
        " hides it in all conversations. A lower number does not withdraw earlier `ReadMarkMoved` events:"
        " participants can still receive these until they are trimmed.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Key that encrypts the cookies of pending sign-ins: at least 32 random characters, the"
        " same for all processes. Default: generated once and stored next to the embedded database.",
    )
    dev_login: bool | None = Field(
        None,
        description="Sign-in by username alone, for development. If set to on, anyone who can reach the"
        " server can sign in as any user. Default: on for requests from the same machine if both"
        " MESSENGER_HOST and the public URL are loopback addresses.",
    )
    session_days: float = Field(
        14, gt=0, le=3650, description="How long a session lasts after its last use, in days."
    )
    session_max_days: float = Field(180, gt=0, le=3650, description="Maximum duration of a session, in days.")
    session_cache_seconds: float = Field(
        5,
        ge=0,
        le=60,
        description="How long a process caches a verified token, in seconds. Signing out in another process"
        " takes effect after that time.",
    )
    allowed_origins: Origins = Field(
        [],
        description="Origins of other frontends whose pages may call the API, separated by commas, such as"
        " https://app.example.com.",
    )
    redirect_uris: RedirectUris = Field(
        [],
        description="Pages of other frontends to which sign-in with a provider may return, separated by"
        " commas, such as https://app.example.com/signed-in. The whole address must match.",
    )
    allowed_headers: HeaderNames = Field(
        [],
        description="Request headers that these frontends may send in addition to the usual ones, separated"
        " by commas.",
    )
    github_client_id: str | None = Field(
        None, description="Client ID of the OAuth app for sign-in with GitHub."
    )
    github_client_secret: SecretStr | None = Field(None, description="Client secret of the OAuth app.")
    github_url: str = Field(
        "https://github.com", description="Address of GitHub, or of a GitHub Enterprise Server."
    )
    oidc_issuer: str | None = Field(
        None,
        description="Issuer of the OpenID provider to sign in with, such as"
        " https://id.example.com/realms/team.",
    )
    oidc_client_id: str | None = Field(None, description="Client ID at the OpenID provider.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Client secret at the OpenID provider. Without one, the server is a public client."
    )
    oidc_name: str | None = Field(
        None, description="Name of the OpenID provider on the sign-in page. Default: the issuer's host."
    )
    jwt_issuer: str | None = Field(
        None,
        description="Issuer (`iss`) of an existing product's JWTs, which are accepted as bearer tokens.",
    )
    jwt_audience: str | None = Field(None, description="Audience (`aud`) that these JWTs must contain.")
    jwt_jwks_url: str | None = Field(
        None, description="Address of the issuer's public keys, a JSON Web Key Set."
    )
    graphiql: bool = Field(True, description="Show GraphiQL to browsers at /graphql.")
    trusted_documents: ExistingFile | None = Field(
        None,
        description="JSON file of the only documents that are executed, by their hashes, as written by a"
        " frontend's code generator.",
    )
    introspection: bool = Field(True, description="Allow introspection queries.")
    plans: bool = Field(
        True,
        description="Execute operations with compiled plans. If off, graphql-core executes them, which is"
        " slower, and long operations block their process. Turn it off only for diagnosis.",
    )
    max_body_bytes: int = Field(256 * 1024, ge=1024, description="Maximum size of a request body, in bytes.")
    max_query_tokens: int = Field(5000, ge=1, description="Maximum number of tokens in a document.")
    max_query_depth: int = Field(15, ge=1, le=100, description="Maximum depth of an operation.")
    max_query_fields: int = Field(
        5000, ge=1, description="Maximum number of fields in an operation, including those of its fragments."
    )
    max_query_aliases: int = Field(200, ge=0, description="Maximum number of aliases in an operation.")
    max_query_directives: int = Field(200, ge=0, description="Maximum number of directives in an operation.")
    rate_limits: bool = Field(
        True, description="Enforce the limits on requests, executed fields, messages, sign-ins and streams."
    )
    rate_limit_store: RateLimitStore | None = Field(
        None,
        description="Where sign-ins, messages and the like are counted: in each process, or in the database"
        " for all processes together. Default: process for one worker, database for several.",
    )
    requests_per_minute_per_user: int = Field(
        1200, ge=1, description="Maximum number of requests per minute by one user, counted in each process."
    )
    requests_per_minute_per_address: int = Field(
        6000,
        ge=1,
        description="Maximum number of requests per minute from one address, counted in each process.",
    )
    cost_per_minute_per_user: int = Field(
        1_000_000,
        ge=1,
        description="Maximum number of fields executed per minute for one user, including events, counted"
        " in each process. A database statement counts as 40 fields. Parsing a long request, and"
        " validating and planning a new document, count as 100 fields per millisecond.",
    )
    cost_per_minute_per_address: int = Field(
        1_000_000,
        ge=1,
        description="Maximum number of fields executed per minute for unauthenticated requests from one"
        " address, counted in the same way.",
    )
    messages_per_minute_per_user: int = Field(
        300, ge=1, description="Maximum number of messages that a user can send per minute."
    )
    conversations_per_minute_per_user: int = Field(
        60, ge=1, description="Maximum number of new conversations that a user can open per minute."
    )
    profile_changes_per_hour_per_user: int = Field(
        20,
        ge=1,
        description="Maximum number of times that a user can change their name or picture per hour. Everyone"
        " who has a conversation with them is notified of each.",
    )
    sign_ins_per_minute_per_address: int = Field(
        300, ge=1, description="Maximum number of sign-in attempts from one address per minute."
    )
    max_streams_per_user: int = Field(
        100,
        ge=1,
        description="Maximum number of open streams per user in each process. In single connection mode, each"
        " subscription counts as a stream, and so does the stream itself.",
    )
    max_streams_per_address: int = Field(
        1000, ge=1, description="Maximum number of open streams per address in each process."
    )
    trusted_proxies: Networks = Field(
        [],
        description="Addresses or networks of proxies whose X-Forwarded-For header is trusted, separated by"
        " commas. If empty, all requests through a proxy count as coming from the proxy.",
    )
    max_reservations: int = Field(
        20, ge=1, description="Maximum number of streams that a user can reserve in single connection mode."
    )
    max_stream_operations: int = Field(
        100, ge=1, description="Maximum number of operations on a stream in single connection mode."
    )
    max_answer_fields: int = Field(
        125_000,
        ge=1,
        description="Maximum number of fields in an answer if all its pages and lists were full.",
    )
    max_event_fields: int = Field(
        1000, ge=1, description="Maximum number of fields in an event if all its pages and lists were full."
    )
    max_answer_bytes: int = Field(
        16 * 1024 * 1024,
        ge=1024,
        description="Maximum size of an answer or event, in bytes of JSON. While as much waits to be sent on"
        " a stream in single connection mode, the stream accepts no operations.",
    )
    heartbeat_seconds: float = Field(
        12, gt=0, le=15, description="How often an idle stream sends a heartbeat, in seconds."
    )
    read_timeout_seconds: float = Field(
        30,
        gt=0,
        le=86_400,
        description="How long a request's head may take to arrive, and then its body, in seconds.",
    )
    write_timeout_seconds: float = Field(
        30,
        gt=0,
        le=86_400,
        description="How long a stream waits for a client that does not read, in seconds. The reading speed"
        " of other answers is averaged over the same time.",
    )
    min_read_bytes_per_second: int = Field(
        16 * 1024,
        ge=0,
        description="Minimum speed at which a client must read a large answer, in bytes per second. Slower"
        " clients are disconnected.",
    )
    max_unread_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Maximum number of bytes of unread answers in each process. Beyond that, the slowest"
        " clients are disconnected.",
    )
    keep_alive_seconds: int = Field(
        68,
        ge=1,
        le=86_400,
        description="How long an idle connection is kept open, in seconds. Should be longer than the idle"
        " timeout of a proxy.",
    )
    drain_seconds: float = Field(
        2,
        ge=0,
        le=86_400,
        description="How long the server takes to end open streams when it stops, in seconds.",
    )
    shutdown_seconds: float = Field(
        7, gt=0, le=86_400, description="How long running requests may then take to finish, in seconds."
    )
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="console, json, or auto (console in a terminal, json otherwise)."
    )

    def session_time(self) -> SessionTime:
        return SessionTime(timedelta(days=self.session_days), timedelta(days=self.session_max_days))

    @field_validator("trusted_documents")
    @classmethod
    def _check_trusted_documents(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_manifest(path)
        return path

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if url is not None and origin_of(url) != url.rstrip("/"):
            raise ValueError("must be an http or https URL without a path, such as https://chat.example.com")
        return url.rstrip("/") if url else url

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError("must have at least 32 random characters; `openssl rand -hex 32` prints some")
        return key

    @field_validator("github_url", "oidc_issuer", "jwt_jwks_url")
    @classmethod
    def _check_provider(cls, url: str | None) -> str | None:
        if url is not None and not is_safe_url(url):
            raise ValueError(
                "must be an https URL such as https://id.example.com (http is allowed for localhost only)"
            )
        return url

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not is_database_url(url):
            raise ValueError("must be a URL such as postgresql://user:password@host:5432/database")
        return f"postgresql://{url.partition('://')[2]}"

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
                "broadcast_url", "must not be memory:// with several workers: remove it, or use postgresql://"
            )
        return self
