"""Finding mistyped names of settings in the environment and in `.env`."""

import os
from difflib import SequenceMatcher

from pydantic_settings import DotEnvSettingsSource

from server.config.settings import PREFIX, Settings

_KNOWN = [PREFIX + field.upper() for field in Settings.model_fields]
_MAX_DIFFERENCES = 2


def mistyped_settings() -> list[tuple[str, str]]:
    """Return each unknown name that differs from a setting by at most two letters, with that setting's name.

    The names of any two settings differ by more than two letters.
    """
    prefix = PREFIX.removesuffix("_")
    found = [name for name in _names() if _differences(name.partition("_")[0], prefix) <= _MAX_DIFFERENCES]
    nearest = [(name, min(_KNOWN, key=lambda known: _differences(name, known))) for name in found]
    return [(name, known) for name, known in nearest if 0 < _differences(name, known) <= _MAX_DIFFERENCES]


def unknown_settings() -> list[str]:
    """Return the other unknown names with the prefix. They may belong to another version or program."""
    mistyped = {name for name, _ in mistyped_settings()}
    return [name for name in _names() if name.startswith(PREFIX) and name not in {*_KNOWN, *mistyped}]


def _names() -> list[str]:
    """Return the names of all variables in upper case, because they are case-insensitive."""
    names = {*os.environ, *DotEnvSettingsSource(Settings).env_vars}
    return sorted({name.upper() for name in names})


def _differences(one: str, other: str) -> int:
    """Return the number of inserted and deleted letters. Two swapped letters count as two."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return len(one) + len(other) - 2 * sum(block.size for block in matcher.get_matching_blocks())
