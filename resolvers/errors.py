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
    """The text is not a cursor that this user was given: it is mistyped, empty or another user's."""

    code = "CURSOR_INVALID"

    def __init__(self, argument: str) -> None:
        """Name the argument that the cursor was given as."""
        super().__init__(f"`{argument}` is not a valid cursor. Send a cursor exactly as you received it.")


class CursorExpired(Refusal):
    """The cursor's place in the inbox has been trimmed, or is not one of this epoch of the database."""

    code = "CURSOR_EXPIRED"

    def __init__(self) -> None:
        """Say how to continue."""
        super().__init__(
            "`after` is older than the entries that the inbox keeps, or was issued before the database was"
            " restored from a backup. Fetch the conversations again, and subscribe from a new `inboxCursor`."
        )


class Unavailable(Refusal):
    """The database does not answer."""

    code = "UNAVAILABLE"

    def __init__(self) -> None:
        """Ask for a retry."""
        super().__init__("The database does not answer. Try again in a moment.")


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
