"""Followers that trust hints, or start at the wrong position."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from uuid import UUID

from db.entries import InboxEntry, InboxPage, Place, Standing
from db.inbox_log import PageAsked
from realtime import followed_inbox
from realtime.cursors import InboxCursor
from realtime.followed_inbox import FollowedInbox, ResumingStream
from realtime.follower import InboxLog
from realtime.subscribers import Subscriber
from resolvers import inbox
from resolvers.context import Context


def pass_every_hint(number: int) -> None:
    """Forward each hint as it comes, whatever its position."""

    async def follow(
        read: InboxLog,
        subscriber: Subscriber,
        *,
        after: int,
        page_size: int = 100,
        from_log: bool,
        wants: Callable[[InboxEntry], bool],
        owes: Callable[[int], InboxEntry | None],
        caught_up: Callable[[int], bool],
    ) -> AsyncGenerator[InboxEntry]:
        position = after
        while True:
            page = await read(after=position, limit=page_size)
            for entry in page.entries:
                position = entry.position
                yield entry
            position = page.up_to
            if not page.is_end:
                continue
            while (hint := await subscriber.next()) is not None and hint.entry.message is not None:
                position = hint.entry.position
                if wants(hint.entry):
                    yield hint.entry

    followed_inbox.follow = follow
    FollowedInbox.resume_at_once = never_at_once


def never_at_once(self: FollowedInbox, stream: ResumingStream) -> bool:
    """Leave the page that has been read to `follow`."""
    return False


def resume_one_early(number: int) -> None:
    """Start at the cursor's entry instead of the one after it."""
    read = Context.inbox_page

    async def inbox_page(self: Context, asked: PageAsked) -> InboxPage:
        page = await read(self, asked)
        if not asked.after:
            return page
        return page._replace(entries=(await read(self, replace(asked, after=asked.after - 1))).entries)

    Context.inbox_page = inbox_page


def compare_no_tags(number: int) -> None:
    """Accept a cursor after any entry at its position, whether or not that is the one that the client saw."""
    check = inbox._check

    def check_without_tag(asked: InboxCursor, page: InboxPage) -> None:
        check(replace(asked, tag=None), page)

    inbox._check = check_without_tag


def compare_no_places(number: int) -> None:
    """Take an inbox, or a hint, for a continuation of what the client saw, whatever it was."""

    def has(self: Standing, epoch: UUID, place: Place) -> bool:
        return True

    def is_contradicted_by(self: Place, entry: InboxEntry) -> bool:
        return False

    Standing.has = has
    Place.is_contradicted_by = is_contradicted_by
