"""The errors that clients see. All other exceptions are logged and masked."""

from enum import Enum
from typing import ClassVar

import structlog

from db.records import Message

log = structlog.stdlib.get_logger(__name__)


class Refusal(Exception):
    """The request is rejected. Clients get `code` in the error's `extensions`."""

    code: ClassVar[str]


class Unauthenticated(Refusal):
    """The request has no token, or its token is invalid, revoked or expired."""

    code = "UNAUTHENTICATED"


class AccountGone(Unauthenticated):
    """The viewer's account has been removed, and their token is cached, or the request was running."""

    def __init__(self) -> None:
        super().__init__("This account has been deleted.")


class BadUserInput(Refusal):
    """An argument is out of range. The message names the argument and its range."""

    code = "BAD_USER_INPUT"


class CursorInvalid(Refusal):
    """The server has not issued this cursor to the viewer for this purpose, or it is malformed."""

    code = "CURSOR_INVALID"

    def __init__(self, given: str, *, of: str, sources: str) -> None:
        """Say by what it was `given`, what it should be a cursor `of`, and where these come from."""
        super().__init__(
            f"`{given}` is not a cursor of {of}. Send one from {sources}, exactly as you received it."
        )


class CursorExpired(Refusal):
    """Entries after the cursor have been deleted, or the epoch has changed. The client must fetch again."""

    code = "CURSOR_EXPIRED"

    def __init__(self) -> None:
        """Say how to continue."""
        super().__init__(
            "The cursor has expired: it is too old, or was issued before the database was restored from a"
            " backup. Fetch the conversations again, and subscribe from a new `inboxCursor`."
        )


class Unavailable(Refusal):
    """The database is temporarily unavailable. The client retries."""

    code = "UNAVAILABLE"

    def __init__(self) -> None:
        """Ask for a retry."""
        super().__init__("The database does not respond. Try again in a moment.")


def data_lost(what: str) -> Unavailable:
    """Log that the database no longer has what was read before, and return the error to raise.

    That is so if a backup is restored while the server runs. The error ends a stream, whose client then
    learns from its cursor whether it has to begin again.
    """
    log.warning("data lost by the database", what=what)
    return Unavailable()


class RateLimited(Refusal):
    """The viewer has exceeded a rate limit. The message names it; retry after `retry_after_seconds`."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
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
    NOT_ALLOWED = "NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    TOO_LATE = "TOO_LATE"


class UserError(Exception):
    """A value in a mutation's `input` that the user can correct. Nothing has been stored."""

    def __init__(
        self, code: UserErrorCode, message: str, field: str, *, message_row: Message | None = None
    ) -> None:
        """Say what is wrong with which field. With `CONFLICT`, `message_row` is the current message."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = ["input", field]
        self.message_row = message_row
