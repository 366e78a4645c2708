"""Loading the settings: from flags, the environment and `.env`."""

from typing import Any

from pydantic import ValidationError

from server.config.complaints import complaint_about
from server.config.env_file import unreadable_line
from server.config.mistyped import mistyped_settings
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
        line = unreadable_line()
    except OSError as error:
        raise SettingsError(f".env cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(".env cannot be read: it is not UTF-8") from error
    if line is not None:
        raise SettingsError(
            f"line {line} of .env cannot be read: write NAME=value, in quotes that are closed"
        )
    for name, meant in mistyped_settings():
        raise SettingsError(f"{name} is not a setting. Did you mean {meant}?")
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError(complaint_about(error.errors()[0])) from error
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
