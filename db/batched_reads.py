"""Batched reads: sessions by their tokens, and pages of inboxes."""

from db import inbox_log, sessions
from db.batching import Batching, Begin, Connect
from db.entries import InboxPage
from db.inbox_log import PageAsked, PageRows
from db.records import Session
from db.shares import Shares


class BatchedReads:
    """Batches simultaneous reads, as when many clients reconnect after an outage."""

    def __init__(self, connect: Connect, begin: Begin, stream_shares: Shares) -> None:
        """Use connections from `connect`, and `begin` for each statement.

        `stream_shares` limits how many pages of one user are read at a time.
        """
        self._sessions = Batching[str, Session | None](
            connect, begin, sessions.by_tokens, name="session reads"
        )
        self._pages = Batching[PageAsked, PageRows](connect, begin, inbox_log.pages, name="inbox reads")
        self._stream_shares = stream_shares

    async def session(self, token_hash: str) -> Session | None:
        """Return the open session with this current token, or this previous token in its grace period.

        Raises:
            DatabaseUnavailable: the database does not respond.
        """
        return await self._sessions.read(token_hash)

    async def inbox_page(self, asked: PageAsked) -> InboxPage:
        """Read a page of an inbox for a stream of its user.

        Raises:
            Trimmed: entries that were asked for have been deleted.
            UserGone: the user does not exist.
            DatabaseUnavailable: the database does not respond.
        """
        async with self._stream_shares.of(asked.user_id):
            rows = await self._pages.read(asked)
        return rows.page()

    async def close(self) -> None:
        """Reject waiting and new callers."""
        await self._sessions.close()
        await self._pages.close()
