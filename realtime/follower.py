"""Following an inbox: the log and hints, merged into one ordered sequence."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from db.entries import InboxEntry, InboxPage
from realtime.metrics import LOG_READS
from realtime.subscribers import Subscriber


class InboxLog(Protocol):
    """Reads one user's inbox."""

    async def __call__(self, *, after: int, limit: int) -> InboxPage:
        """Return at most `limit` entries after position `after`, in order."""
        ...


def _continue(_position: int) -> bool:
    """Continue to follow."""
    return False


async def follow(
    read: InboxLog,
    subscriber: Subscriber,
    *,
    after: int,
    page_size: int = 100,
    from_log: bool = True,
    caught_up: Callable[[int], bool] = _continue,
) -> AsyncGenerator[InboxEntry]:
    """Yield every entry of the inbox after position `after`, once and in order, without end.

    The subscriber must have been attached before this is called. Otherwise, entries that are committed
    between reading the log and attaching would be missed. The log is read in pages of `page_size`: at the
    start, when the subscriber requests it, and when a hint shows that another one was lost. With
    `from_log=False`, it is not read at the start, because the subscriber has been attached since position
    `after`.

    When all entries have been yielded, `caught_up` is called with the position reached. If it returns True,
    the generator ends, and the caller is responsible for the following entries.
    """
    position = subscriber.position = after
    is_behind = from_log
    while True:
        while is_behind:
            page = await read(after=position, limit=page_size)
            LOG_READS.inc()
            for entry in page.entries:
                position = subscriber.position = entry.position
                yield entry
            # Skips deleted entries. Otherwise, the subscriber would be woken for them again and again.
            position = subscriber.position = page.up_to
            is_behind = not page.is_end
        if not subscriber.is_woken and caught_up(position):
            return
        hint = await subscriber.next()
        if hint is None or hint.entry.position > position + 1:
            is_behind = True
        elif hint.entry.position == position + 1:
            position = subscriber.position = hint.entry.position
            yield hint.entry
