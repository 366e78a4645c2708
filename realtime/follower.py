"""Following an inbox: the log and hints, merged into one ordered sequence."""

from collections.abc import AsyncGenerator, Callable, Iterator
from time import monotonic
from typing import Protocol

from db.entries import InboxEntry, InboxPage, Place
from realtime.hints import Hint
from realtime.metrics import LOG_READS
from realtime.subscribers import Subscriber

FRESH_SECONDS = 1.0
"""How long what was read with an entry is taken for current. Then it is read again."""


PAGE_SIZE = 100
"""How many entries of the log are usually read at a time."""


class InboxLog(Protocol):
    """Reads one user's inbox."""

    async def __call__(self, *, after: int, limit: int) -> InboxPage:
        """Read at most `limit` entries after position `after`, and return those that are wanted, in order."""
        ...


class _PageSize:
    """How many entries to read at a time.

    More while few of them are wanted, and fewer while they get old before they are taken, so that the work
    is in proportion to what is delivered.
    """

    __slots__ = ("_most", "_usual", "limit")

    def __init__(self, usual: int) -> None:
        self._usual = usual
        self._most = 10 * usual
        self.limit = usual

    def took(self, page: InboxPage, position: int) -> None:
        """Choose the size of the next page, after the entries of one have been taken up to the position."""
        taken = sum(entry.position <= position for entry in page.entries)
        if taken < len(page.entries):
            self.limit = taken
        elif len(page.entries) * 4 < page.looked_at:
            self.limit = min(2 * self.limit, self._most)
        else:
            self.limit = min(2 * self.limit, self._usual)


def _while_fresh(page: InboxPage, clock: Callable[[], float]) -> Iterator[InboxEntry]:
    """Yield the entries of a page that has been read, at least one, until the rest may have changed."""
    read_at = clock() if page.read_at is None else page.read_at
    for number, entry in enumerate(page.entries):
        if number and clock() - read_at > FRESH_SECONDS:
            return
        yield entry


def _has_fresh_message(hint: Hint, clock: Callable[[], float]) -> bool:
    return hint.entry.message is not None and clock() - hint.read_at <= FRESH_SECONDS


def _want_all(_entry: InboxEntry) -> bool:
    """Want every entry."""
    return True


def _owe_nothing(_position: int) -> InboxEntry | None:
    """Owe the reader nothing."""
    return None


def _continue(_position: int) -> bool:
    """Continue to follow."""
    return False


async def follow(
    read: InboxLog,
    subscriber: Subscriber,
    *,
    after: int,
    page_size: int = PAGE_SIZE,
    from_log: bool = True,
    wants: Callable[[InboxEntry], bool] = _want_all,
    owes: Callable[[int], InboxEntry | None] = _owe_nothing,
    caught_up: Callable[[int], bool] = _continue,
    clock: Callable[[], float] = monotonic,
) -> AsyncGenerator[InboxEntry]:
    """Yield the wanted entries of the inbox after position `after`, once and in order, without end.

    The subscriber must have been attached before this is called. Otherwise, entries that are committed
    between reading the log and attaching would be missed. The log is read in pages of about `page_size`: at
    the start, when the subscriber requests it, when a hint shows that another one was lost or that the last
    entry has been replaced, and for entries that are wanted and whose hints do not have their message, or
    have had it for longer than `FRESH_SECONDS`.
    With `from_log=False`, it is not read at the start, because the subscriber has been attached since
    position `after`. `read` leaves out what is not wanted; `wants` decides about hints.

    When all entries have been yielded, what the reader is owed at the position reached is yielded too. Then
    `caught_up` is called with the position. If it returns True, the generator ends, and the caller is
    responsible for the following entries.
    """
    place = subscriber.place
    if place is None or place.position != after:
        place = subscriber.place = Place(after)
    size = _PageSize(page_size)
    is_behind = from_log
    while True:
        while is_behind:
            page = await read(after=place.position, limit=size.limit)
            LOG_READS.inc()
            for entry in _while_fresh(page, clock):
                place = subscriber.place = entry.place
                yield entry
            size.took(page, place.position)
            if not page.entries or place.position == page.entries[-1].position:
                # Skips entries that were left out. Otherwise, the subscriber would be woken for them again
                # and again.
                place = subscriber.place = Place(page.up_to, page.tag)
                is_behind = not page.is_end
        if not subscriber.is_woken:
            owed = owes(place.position)
            if owed is not None:
                yield owed
                continue
            if caught_up(place.position):
                return
        hint = await subscriber.next()
        if hint is None or hint.entry.position > place.position + 1 or place.is_contradicted_by(hint.entry):
            is_behind = True
        elif hint.entry.position == place.position + 1:
            is_wanted = wants(hint.entry)
            is_behind = is_wanted and not _has_fresh_message(hint, clock)
            if not is_behind:
                place = subscriber.place = hint.entry.place
                if is_wanted:
                    yield hint.entry
