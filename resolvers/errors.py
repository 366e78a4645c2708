"""What the rules turn down. Everything else that goes wrong is a fault of ours."""

from enum import Enum
from typing import ClassVar


class Refusal(Exception):
    """A request that is turned down; `code` reaches the client in the error's `extensions`."""

    code: ClassVar[str]


class Unauthenticated(Refusal):
    """Nobody is signed in, or the token is wrong, ended or expired."""

    code = "UNAUTHENTICATED"


class AccountGone(Unauthenticated):
    """Whoever asks has been removed a moment ago."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("Your account is no more.")


class BadUserInput(Refusal):
    """An argument is out of its range; the message names it and the range."""

    code = "BAD_USER_INPUT"


class CursorInvalid(Refusal):
    """A cursor that was never handed out: mistyped, empty or made for somebody else."""

    code = "CURSOR_INVALID"


class CursorExpired(Refusal):
    """A cursor whose place in the inbox cannot be told or is no longer kept: fetch again."""

    code = "CURSOR_EXPIRED"


class Unavailable(Refusal):
    """The database does not answer for the moment: try again."""

    code = "UNAVAILABLE"


class RateLimited(Refusal):
    """Too much in too short a time: the message says of what, `retry_after_seconds` when to come back."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        """Say what is too much, and when to come back."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UserErrorCode(Enum):
    """What is wrong with a mutation's input."""

    BLANK = "BLANK"
    TOO_LONG = "TOO_LONG"
    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    TAKEN = "TAKEN"
    SELF = "SELF"


class UserError(Exception):
    """Something in a mutation's input that the person can put right; nothing has been stored."""

    def __init__(self, code: UserErrorCode, message: str, field: str) -> None:
        """Blame one field of the mutation's `input`."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = ["input", field]
