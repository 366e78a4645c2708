"""Following an inbox: the log and the hints, joined into one ordered stream."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from db.records import InboxEntry
from realtime.metrics import LOG_READS
from realtime.subscribers import Subscriber


class InboxLog(Protocol):
    """Reads one user's inbox."""

    async def __call__(self, *, after: int, limit: int) -> Sequence[InboxEntry]:
        """Return at most `limit` entries with a position over `after`, in order."""
        ...


def _go_on(_position: int) -> None:
    """Follow on."""


async def follow(
    read: InboxLog,
    subscriber: Subscriber,
    *,
    after: int,
    page_size: int = 100,
    caught_up: Callable[[int], None] = _go_on,
) -> AsyncGenerator[InboxEntry]:
    """Yield every entry of the inbox with a position over `after`, in order, each once, without end.

    The subscriber must have been attached before this is called: what is committed between reading the
    log and attaching would be missed. The log is read in pages of `page_size`, and only at the start, when
    the subscriber says so, and when a hint shows that another went missing. Whenever it has been read to its
    end, `caught_up` is called with the position reached; what that raises comes out here.
    """
    position = subscriber.position = after
    while True:
        page = await read(after=position, limit=page_size)
        LOG_READS.inc()
        for entry in page:
            position = subscriber.position = entry.position
            yield entry
        if len(page) == page_size:
            continue
        caught_up(position)
        while (hint := await subscriber.next()) is not None:
            if hint.entry.position == position + 1:
                position = subscriber.position = hint.entry.position
                yield hint.entry
            elif hint.entry.position > position:
                break
