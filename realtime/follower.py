"""Following an inbox: the log and the hints, joined into one ordered stream."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from db.records import InboxEntry, InboxPage
from realtime.metrics import LOG_READS
from realtime.subscribers import Subscriber


class InboxLog(Protocol):
    """Reads one user's inbox."""

    async def __call__(self, *, after: int, limit: int) -> InboxPage:
        """Return at most `limit` entries with a position over `after`, in order."""
        ...


def _go_on(_position: int) -> bool:
    """Follow on."""
    return False


async def follow(
    read: InboxLog,
    subscriber: Subscriber,
    *,
    after: int,
    page_size: int = 100,
    from_log: bool = True,
    caught_up: Callable[[int], bool] = _go_on,
) -> AsyncGenerator[InboxEntry]:
    """Yield every entry of the inbox with a position over `after`, in order, each once, without end.

    The subscriber must have been attached before this is called: what is committed between reading the
    log and attaching would be missed. The log is read in pages of `page_size`, and only at the start, when
    the subscriber says so, and when a hint shows that another went missing; not at the start where the
    subscriber has been attached since somebody had come as far as `after`: then `from_log` is false.

    Whenever there is nothing to do but wait, `caught_up` is called with the position reached. If it returns
    true we are done: until then nothing has been missed, and from then on it is for others to see to that.
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
            # Past entries that are no longer there: what waits before them would be woken again and again.
            position = subscriber.position = page.up_to
            is_behind = len(page.entries) == page_size
        if not subscriber.is_woken and caught_up(position):
            return
        hint = await subscriber.next()
        if hint is None or hint.entry.position > position + 1:
            is_behind = True
        elif hint.entry.position == position + 1:
            position = subscriber.position = hint.entry.position
            yield hint.entry
