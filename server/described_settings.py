"""The settings as operators are told of them."""

from enum import Enum

from server.settings import PREFIX, Settings


def describe_settings() -> list[tuple[str, str, str]]:
    """Return the name, default and meaning of every setting."""
    return [
        (PREFIX + name.upper(), _shown(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _shown(default: object) -> str:
    if default is None or default == []:
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default.value if isinstance(default, Enum) else default)
