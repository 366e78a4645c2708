"""The rules that an operator can set."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """How long and where something is allowed."""

    edit_seconds: int = 3600
    """How long authors can edit a message after they have sent it; 0 if they cannot."""
    read_marks_max_participants: int = 32
    """The most participants of a conversation in which they see how far the others have read; 0 for none."""


DEFAULT_RULES = Rules()
