"""The context of a request: the viewer, a consistent snapshot of the database, and loaders."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from db.engine import Database
from db.entries import InboxPage, Place
from db.inbox_log import PageAsked
from db.inboxes import Delivered, NotStored, Outgoing
from db.prefetched import Prefetched
from db.records import User
from db.statements import Connection
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.followed_inbox import FollowedInbox, FollowingStream
from resolvers.errors import Unauthenticated
from resolvers.loaders import Loaders
from resolvers.look_ahead import NO_MESSAGE_LOOK_AHEAD, MessageLookAhead
from resolvers.rules import DEFAULT_RULES, Rules
from resolvers.snapshot import Snapshot, rejecting_outages


class EventStream(FollowingStream, Protocol):
    """The stream on which a subscription's events are sent."""

    async def begin(self, cursor: str) -> None:
        """Tell the client that the stream is live and delivers everything after `cursor`."""
        ...

    def resume_at_once(self, inbox: FollowedInbox, /) -> bool:
        """Send what the inbox has read already, as far as that needs no waiting.

        Return True if the stream has then caught up and shares the inbox, so that nothing is left to follow.
        """
        ...

    def reach(self, place: Place, cursor: str) -> None:
        """Record the next event's place in the inbox. A client that has received it resumes here."""
        ...

    @property
    def led_inbox(self) -> FollowedInbox | None:
        """The shared inbox that the stream follows as the leader; None if it must open its own."""
        ...


class SessionsEnded(Protocol):
    """Called when sessions have ended, so that the process forgets their tokens and ends their streams."""

    def __call__(self, ids: Collection[UUID], /) -> None:
        """Forget the sessions with these IDs."""
        ...


def _ignore_ended_sessions(ids: Collection[UUID], /) -> None:
    """Do nothing, because this process serves no streams."""


class UserLimits(Protocol):
    """Counts what users do that others are notified of, or that takes space."""

    async def count_message(self, user_id: UUID) -> None:
        """Count a message, or an edit of one.

        Raises:
            RateLimited: the user has sent too many messages in the last minute.
        """
        ...

    async def count_conversation(self, user_id: UUID) -> None:
        """Count a new conversation.

        Raises:
            RateLimited: the user has opened too many conversations in the last minute.
        """
        ...

    async def count_profile_change(self, user_id: UUID) -> None:
        """Count a changed name or picture.

        Raises:
            RateLimited: the user has changed their profile too often in the last hour.
        """
        ...


class Unlimited:
    """Accepts everything."""

    async def count_message(self, user_id: UUID) -> None:
        """Do nothing."""

    async def count_conversation(self, user_id: UUID) -> None:
        """Do nothing."""

    async def count_profile_change(self, user_id: UUID) -> None:
        """Do nothing."""


_UNLIMITED = Unlimited()
_WITHOUT_TAGS = CursorForm()


def _count_nothing() -> None:
    """Do not count the statements."""


def _charge_nothing(work: float, /) -> None:
    """Do not charge the work."""


@dataclass(slots=True)
class Context:
    """The state of a request, which is used with `async with`.

    All reads between two writes use the same snapshot, which `refresh` releases.
    """

    database: Database
    broadcaster: Broadcaster
    viewer: User | None = None
    """Only the ID is certain to be current."""
    refused: str | None = None
    """Why the request's token was rejected; None if it has no token, or a valid one."""
    stream: EventStream | None = None
    """The stream that a subscription's events are sent on."""
    last_event_id: str | None = None
    """The cursor of the last event that the client has received (`Last-Event-ID`)."""
    start: str | None = None
    """The cursor from which a subscription starts if its operation has none."""
    session_id: UUID | None = None
    """The request's session, if any."""
    sessions_ended: SessionsEnded = _ignore_ended_sessions
    limits: UserLimits = _UNLIMITED
    count_statement: Callable[[], None] = _count_nothing
    """Called before each statement of the database."""
    charge: Callable[[float], None] = _charge_nothing
    """Charges a part of the work, in fields. It raises `RateLimited` if nothing is left for it."""
    rules: Rules = DEFAULT_RULES
    cursor_form: CursorForm = _WITHOUT_TAGS
    """The form in which cursors are issued."""
    has_one_root_field: bool = False
    """Whether the operation selects a single root field."""
    event_look_ahead: MessageLookAhead = NO_MESSAGE_LOOK_AHEAD
    """What the subscription needs of the messages of its events."""
    is_over: bool = False
    """Whether the request has ended. Further reads are cancelled."""
    prefetched: Prefetched = field(default_factory=Prefetched, init=False)
    """What has been read before a field asks for it, since the last `refresh`."""
    _snapshot: Snapshot = field(init=False)
    _loaders: Loaders | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._snapshot = Snapshot(
            self.database,
            waits=self.stream is not None,
            ended=self.is_over,
            share_of=self._share_of,
            requests_of=self._requests_of,
            count_statement=self.count_statement,
        )

    @property
    def _share_of(self) -> UUID | None:
        """The user whose streams' share of the connections is used."""
        return None if self.stream is None or self.viewer is None else self.viewer.id

    @property
    def _requests_of(self) -> UUID | None:
        """The user whose requests' share of the connections is used."""
        return None if self.stream is not None or self.viewer is None else self.viewer.id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over = True
        self._loaders = None
        await self._snapshot.end()

    @property
    def loaders(self) -> Loaders:
        """Loaders, whose results are cached until the next `refresh`."""
        if self._loaders is None:
            self._loaders = Loaders(self._snapshot, self.require_viewer, self.prefetched)
        return self._loaders

    def require_viewer(self) -> User:
        """Return the authenticated user.

        Raises:
            Unauthenticated: the request has no valid token.
        """
        if self.viewer is None:
            raise Unauthenticated(self.refused or "Sign in first: send `Authorization: Bearer TOKEN`.")
        return self.viewer

    def require_stream(self) -> EventStream:
        """Return the stream on which a subscription's events are sent."""
        if self.stream is None:
            raise RuntimeError("a subscription was executed without a stream of events")
        return self.stream

    def read_once(self) -> None:
        """Let the next read have no snapshot, because the root field that calls this reads nothing else.

        This ends with the next `refresh`. It does nothing if there are other root fields.
        """
        if self.has_one_root_field:
            self._snapshot.read_once()

    def reading(self) -> AbstractAsyncContextManager[Connection]:
        """Yield the request's snapshot to one resolver at a time.

        Raises:
            Unavailable: the database does not respond. For an event of a stream, this is retried instead.
            AccountGone: the viewer has been removed.
        """
        return self._snapshot.reading()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Yield a connection for a single statement, which is its own transaction. Later reads see its
        changes.

        Raises:
            Unavailable: the database does not respond. It is then unknown whether the statement was
                committed.
            AccountGone: the viewer has been removed.
        """
        await self.refresh()
        self.count_statement()
        with rejecting_outages():
            async with self.database.connection(
                share_of=self._share_of, requests_of=self._requests_of
            ) as connection:
                yield connection

    async def inbox_page(self, asked: PageAsked) -> InboxPage:
        """Read a page of the viewer's inbox for a stream, in a statement that it shares with other streams.

        Raises:
            Unavailable: the database does not respond.
            AccountGone: the viewer has been removed.
            Trimmed: entries that were asked for have been deleted.
        """
        await self.refresh()
        self.count_statement()
        with rejecting_outages():
            return await self.database.batched_reads.inbox_page(asked)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[Connection]:
        """Yield a transaction, which is committed at the end. Later reads see its changes.

        Raises:
            Unavailable: the database does not respond. It is then unknown whether it was committed.
            AccountGone: the viewer has been removed.
        """
        await self.refresh()
        self.count_statement()
        with rejecting_outages():
            async with self.database.transaction(requests_of=self._requests_of) as connection:
                yield connection

    async def deliver(self, message: Outgoing) -> Delivered | NotStored:
        """Store a message. Later reads see it.

        Raises:
            Unavailable: the database does not respond. It is then unknown whether the message is stored.
        """
        await self.refresh()
        self.count_statement()
        with rejecting_outages():
            return await self.database.deliveries.deliver(message)

    async def refresh(self) -> None:
        """Release the snapshot and clear the loaders, so that the next read sees the newest state."""
        self._loaders = None
        self.prefetched = Prefetched()
        await self._snapshot.give_back()
