"""Loading the settings: from flags, the environment and `.env`."""

import os
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import SecretStr, ValidationError

from server.config.settings import PREFIX, Settings


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what is expected."""


def load_settings(**flags: Any) -> Settings:
    """Return the settings. Flags that are not None override the environment, which overrides `.env`.

    Raises:
        SettingsError: a setting is wrong or missing. The message is one line.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else None
        # An error about several settings has no field; its type is the setting's name.
        name = PREFIX + (field or first["type"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        shown = "" if field is None or _is_secret(field) else f" (got {first['input']!r})"
        raise SettingsError(f"{name} is wrong: {reason}{shown}") from error
    _check_complete(settings)
    return settings


def _check_complete(settings: Settings) -> None:
    """Reject settings that require another one that is missing."""
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
    # Only with the embedded database is there a folder to keep a generated key in.
    if settings.database_url is not None:
        needs += [("github_client_id", "secret_key"), ("oidc_issuer", "secret_key")]
    for one, other in needs:
        if getattr(settings, one) is not None and getattr(settings, other) is None:
            raise SettingsError(
                f"{PREFIX}{other.upper()} is missing: {PREFIX}{one.upper()} requires it"
                + (" (`openssl rand -hex 32` prints one)" if other == "secret_key" else "")
            )


def unknown_settings(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return environment variables with the prefix that are not settings: most likely mistyped ones."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _is_secret(field: str) -> bool:
    annotation = Settings.model_fields[field].annotation
    return field in {"database_url", "broadcast_url"} or SecretStr in (annotation, *get_args(annotation))
