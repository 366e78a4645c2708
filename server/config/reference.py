"""The reference of the settings for operators: `messenger serve --help` and docs/configuration.md."""

from collections.abc import Iterator
from enum import Enum

from server.config.settings import PREFIX, Settings

SECTIONS = {
    "Server": (
        "host",
        "port",
        "public_url",
        "workers",
        "worker_timeout_seconds",
        "drain_seconds",
        "shutdown_seconds",
        "log_format",
    ),
    "Database": (
        "database_url",
        "database_pooler",
        "database_pool_size",
        "data_dir",
    ),
    "Several processes": (
        "broadcast_url",
        "inbox_check_seconds",
        "nats_credentials_file",
        "nats_ca_file",
        "nats_certificate_file",
        "nats_key_file",
    ),
    "Messages": ("edit_seconds", "read_marks_max_participants"),
    "Inboxes": ("inbox_retention_days",),
    "Sign-in": (
        "dev_login",
        "github_client_id",
        "github_client_secret",
        "github_url",
        "oidc_issuer",
        "oidc_client_id",
        "oidc_client_secret",
        "oidc_name",
        "jwt_issuer",
        "jwt_audience",
        "jwt_jwks_url",
        "secret_key",
    ),
    "Sessions": (
        "session_days",
        "session_max_days",
        "session_cache_seconds",
    ),
    "Frontends on other origins": ("allowed_origins", "allowed_headers", "redirect_uris"),
    "GraphQL": (
        "graphiql",
        "introspection",
        "trusted_documents",
        "max_query_tokens",
        "max_query_depth",
        "max_query_fields",
        "max_query_aliases",
        "max_query_directives",
        "max_answer_fields",
        "max_answer_bytes",
        "max_event_fields",
        "plans",
    ),
    "Streams": (
        "heartbeat_seconds",
        "write_timeout_seconds",
        "max_streams_per_user",
        "max_streams_per_address",
        "max_reservations",
        "max_stream_operations",
    ),
    "Requests and rate limits": (
        "max_body_bytes",
        "read_timeout_seconds",
        "keep_alive_seconds",
        "min_read_bytes_per_second",
        "max_unread_bytes",
        "rate_limits",
        "rate_limit_store",
        "requests_per_minute_per_user",
        "requests_per_minute_per_address",
        "cost_per_minute_per_user",
        "cost_per_minute_per_address",
        "messages_per_minute_per_user",
        "conversations_per_minute_per_user",
        "profile_changes_per_hour_per_user",
        "sign_ins_per_minute_per_address",
        "trusted_proxies",
    ),
}
"""The sections of the page, with their settings in order."""

_INTRODUCTION = f"""\
# Configuration

Every setting is an environment variable. In order of precedence, `messenger` reads settings from:

1. flags: `messenger serve --host 0.0.0.0 --port 9000 --workers 4` (only these three settings have a flag)
2. environment variables: `{PREFIX}PORT=9000 make run`
3. a file named `.env` in the working directory, with lines such as `{PREFIX}PORT=9000`

Lists are separated by commas, and switches are `on` or `off`. An empty value counts as not set. If a value is
invalid, or a setting requires another one that is not set, the server does not start and prints one line that
names the setting and says what is allowed.

The server also does not start if a name differs by one or two letters from that of a setting, because it is
probably mistyped. Other unknown names that begin with `{PREFIX}` are logged as a warning: they may belong to
another version or another program.

`messenger serve --help` lists the same settings. In a checkout, run `. .venv/bin/activate` to add the
command `messenger` to PATH ([The command line](getting-started.md#the-command-line)).

This page is generated. After changing `server/config/settings.py`, run

    messenger settings > docs/configuration.md
"""


def describe_settings() -> list[tuple[str, str, str]]:
    """Return the name, default and description of every setting."""
    return [_described(field) for field in Settings.model_fields]


def settings_page() -> str:
    """Return docs/configuration.md.

    Raises:
        ValueError: a setting is missing from the sections or listed twice, or a section lists an unknown one.
    """
    listed = [field for fields in SECTIONS.values() for field in fields]
    wrong = {*listed} ^ {*Settings.model_fields}
    if wrong or len({*listed}) != len(listed):
        raise ValueError(f"list every setting once in SECTIONS of {__name__}: {sorted(wrong) or listed}")
    return _INTRODUCTION + "".join(_section(title, fields) for title, fields in SECTIONS.items())


def _section(title: str, fields: tuple[str, ...]) -> str:
    return "\n".join(
        ["", f"## {title}", "", "| setting | default | meaning |", "|---|---|---|", *_rows(fields), ""]
    )


def _rows(fields: tuple[str, ...]) -> Iterator[str]:
    for name, default, meaning in map(_described, fields):
        yield f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"


def _described(field: str) -> tuple[str, str, str]:
    info = Settings.model_fields[field]
    return PREFIX + field.upper(), _shown(info.default), info.description or ""


def _shown(default: object) -> str:
    if default is None or default == []:
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default.value if isinstance(default, Enum) else default)
