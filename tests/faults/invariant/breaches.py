"""The ways to violate the invariant."""

from dataclasses import dataclass
from enum import Enum


class Breach(Enum):
    """One of the ways."""

    LOST = "acknowledged and not stored"
    STORED_TWICE = "stored more than once"
    OUT_OF_TURN = "stored in another order than sent"
    CROSSED = "stored elsewhere than asked for"
    TWO_TEXTS = "one version of a message with two texts"
    MOVED_BACK = "a read mark that has moved back"
    MISCOUNTED = "unread counts that differ from a fresh count"
    HOLES = "positions with holes, or an inbox that is not what happened in its conversations"
    EDIT_FIRST = "a change of a message before the message"
    MISSED = "not seen by a device"
    REPEATED = "seen more than once by a device"
    DISORDER = "seen in another order than the inbox's"
    PHANTOM = "seen by a device and not in its inbox"
    OLD_STATE = "seen in an older state than it had at delivery"
    DIFFERENT = "known to a device in another state than it has now"
    WRONG_ERROR = "answered with an error that no fault explains"
    DIED = "a server has ended by itself"
    STUCK = "something takes too long"


@dataclass(frozen=True)
class Violation:
    """One violation, and where it happened."""

    breach: Breach
    where: str

    def __str__(self) -> str:
        return f"{self.breach.value}: {self.where}"
