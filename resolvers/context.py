"""What a resolver works with: who asks, a consistent view of the database, and loaders that batch."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from db import conversations, messages, users
from db.engine import Database, DatabaseUnavailable, naming_outages
from db.inboxes import Delivered, Outgoing, Refused
from db.messages import SeqRange
from db.records import Conversation, Message, Participant, User
from db.statements import Connection
from db.users import UserGone
from realtime.backoff import Backoff
from realtime.broadcaster import Broadcaster
from realtime.followed_inbox import FollowedInbox, FollowingStream
from resolvers.errors import AccountGone, Unauthenticated, Unavailable

_T = TypeVar("_T")


class EventStream(FollowingStream, Protocol):
    """The stream on which a subscription's events are sent."""

    async def begin(self, cursor: str) -> None:
        """Tell the client that the stream is live: it delivers what is stored after `cursor`."""
        ...

    def reach(self, position: int, cursor: str) -> None:
        """Note the next event's place in the inbox: a client that has received it resumes from `cursor`."""
        ...

    @property
    def led_inbox(self) -> FollowedInbox | None:
        """The inbox that the stream follows on for others too; None if it is to open one of its own."""
        ...


class SessionsEnded(Protocol):
    """Hears that sessions have ended: what this process remembers of them goes, and their streams end."""

    def __call__(self, ids: Collection[UUID], /) -> None:
        """Let go of them."""
        ...


def _nobody_to_tell(ids: Collection[UUID], /) -> None:
    """Do nothing: this process serves no streams."""


class MessageLimit(Protocol):
    """Counts what a user writes."""

    async def __call__(self, user_id: UUID, /) -> None:
        """Count a message.

        Raises:
            RateLimited: the user has written too many of late.
        """
        ...


async def _no_limit(user_id: UUID, /) -> None:
    """Let everybody write as much as they like."""


@dataclass(slots=True)
class Context:
    """One request's view of the world, from `async with` to its end.

    Everything read between two writes comes from one snapshot, over one connection, which `refresh` gives
    back. `refused` is the reason why the request's token was turned down, None where it brought none or a
    good one. `stream` is there when the answer is a stream of events, `last_event_id` when
    the client says which of them it saw last, `start` where it begins when its operation does not say.
    Of the viewer only the id is sure to be current. `session_id` is the session that asks, if it is one.
    `selected` says which fields are asked for at all, and how often; None where that is not known.
    Once it `is_over`, whoever still reads is cancelled.
    """

    database: Database
    broadcaster: Broadcaster
    viewer: User | None = None
    refused: str | None = None
    stream: EventStream | None = None
    last_event_id: str | None = None
    start: str | None = None
    session_id: UUID | None = None
    sessions_ended: SessionsEnded = _nobody_to_tell
    count_message: MessageLimit = _no_limit
    selected: Mapping[str, int] | None = None
    is_over: bool = False
    _loaders: "Loaders | None" = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)
    _open: AsyncExitStack | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over = True
        await self.refresh()

    @property
    def loaders(self) -> "Loaders":
        """The loaders of what is read until the next `refresh`."""
        if self._loaders is None:
            self._loaders = Loaders(self)
        return self._loaders

    def require_viewer(self) -> User:
        """Return who is signed in.

        Raises:
            Unauthenticated: nobody is.
        """
        if self.viewer is None:
            raise Unauthenticated(self.refused or "Sign in first: send `Authorization: Bearer TOKEN`.")
        return self.viewer

    def require_stream(self) -> EventStream:
        """Return the stream that the answer goes out on, which a subscription cannot do without."""
        if self.stream is None:
            raise RuntimeError("a subscription was executed without a stream of events")
        return self.stream

    def selects(self, field: str) -> bool:
        """Say whether a field of that name is asked for anywhere; false also where that is not known."""
        return self.selected is not None and field in self.selected

    def reads_once(self, field: str, shown: Set[str]) -> bool:
        """Say whether this one field and what it shows, by their names, is all that is asked for."""
        selected = self.selected
        return selected is not None and selected.get(field) == 1 and selected.keys() - shown == {field}

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """Yield the request's snapshot, to one resolver at a time.

        Raises:
            Unavailable: the database does not answer. For an event of a stream, it is waited for.
            AccountGone: the viewer has just been removed.
        """
        async with self._turn:
            if self.is_over:
                # A loader's, which has a task of its own: whom it reads for has been cancelled.
                raise asyncio.CancelledError
            if self._connection is None:
                self._connection = await self._open_snapshot()
            with _refusing(), naming_outages():
                yield self._connection

    async def _open_snapshot(self) -> Connection:
        backoff = Backoff()
        self._open = AsyncExitStack()
        while True:
            try:
                return await self._open.enter_async_context(self.database.snapshot())
            except DatabaseUnavailable as error:
                if self.stream is None:
                    raise _unavailable() from error
            await backoff.wait()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Yield a connection for one statement, a transaction by itself; what is read afterwards shows it.

        Raises:
            Unavailable: the database does not answer. Whether the statement has written is then not known.
            AccountGone: the viewer has just been removed.
        """
        await self.refresh()
        with _refusing():
            async with self.database.connection() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[Connection]:
        """Yield a transaction, committed at the end; what is read afterwards shows what it wrote.

        Raises:
            Unavailable: the database does not answer. Whether it has committed is then not known.
            AccountGone: the viewer has just been removed.
        """
        await self.refresh()
        with _refusing():
            async with self.database.transaction() as connection:
                yield connection

    async def deliver(self, message: Outgoing) -> Delivered | Refused:
        """Store a message; what is read afterwards shows it.

        Raises:
            Unavailable: the database does not answer. Whether the message is stored is then not known.
        """
        await self.refresh()
        with _refusing():
            return await self.database.deliveries.deliver(message)

    async def refresh(self) -> None:
        """Give the snapshot back and forget what was loaded: the next read sees the newest state."""
        if self._connection is None and self._loaders is None:
            return
        async with self._turn:
            opened, self._open = self._open, None
            self._connection = None
            self._loaders = None
            if opened is not None:
                # What was read stays true when the connection is lost before it is given back.
                with suppress(DatabaseUnavailable):
                    await opened.aclose()


@contextmanager
def _refusing() -> Generator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        raise _unavailable() from error
    except UserGone as error:
        # Their token is believed for some seconds more.
        raise AccountGone from error


def _unavailable() -> Unavailable:
    return Unavailable("The database does not answer: try again in a moment.")


def present(found: Iterable[_T | None]) -> list[_T]:
    """Return what a loader found, without the gaps."""
    return [each for each in found if each is not None]


class Loaders:
    """Loaders that turn the many single wishes of one selection into one statement each; made when needed."""

    def __init__(self, context: Context) -> None:
        """Make loaders that read from the context's snapshot."""
        self._context = context
        self._users_asked_for: dict[UUID, asyncio.Future[User | None]] = {}

    @cached_property
    def users(self) -> DataLoader[UUID, User | None]:
        """Users by their ids."""
        return DataLoader(self._users, cache_map=self._users_asked_for)

    def known_user(self, user_id: UUID) -> User | None:
        """Return a user who has been read already; None for others, who are not asked for by this."""
        asked_for = self._users_asked_for.get(user_id)
        return asked_for.result() if asked_for is not None and asked_for.done() else None

    @cached_property
    def conversations(self) -> DataLoader[UUID, Conversation | None]:
        """Those of the conversations that the viewer takes part in, by their ids."""
        return DataLoader(self._conversations)

    @cached_property
    def messages(self) -> DataLoader[UUID, Message | None]:
        """Those of the messages that the viewer may see, by their ids."""
        return DataLoader(self._messages)

    @cached_property
    def idempotency_keys(self) -> DataLoader[UUID, UUID | None]:
        """The keys that messages were sent with, by the messages' ids."""
        return DataLoader(self._idempotency_keys)

    @cached_property
    def participants(self) -> DataLoader[UUID, Sequence[Participant]]:
        """Who takes part, by the conversations' ids."""
        return DataLoader(self._participants)

    @cached_property
    def ranges(self) -> DataLoader[SeqRange, Sequence[Message]]:
        """The messages of ranges."""
        return DataLoader(self._ranges)

    async def _users(self, ids: list[UUID]) -> list[User | None]:
        async with self._context.reading() as connection:
            found = {user.id: user for user in await users.by_ids(connection, ids)}
        return [found.get(user_id) for user_id in ids]

    async def _conversations(self, ids: list[UUID]) -> list[Conversation | None]:
        viewer = self._context.require_viewer()
        async with self._context.reading() as connection:
            found = {one.id: one for one in await conversations.by_ids(connection, viewer.id, ids)}
        return [found.get(conversation_id) for conversation_id in ids]

    async def _messages(self, ids: list[UUID]) -> list[Message | None]:
        viewer = self._context.require_viewer()
        async with self._context.reading() as connection:
            found = {one.id: one for one in await messages.visible_to(connection, viewer.id, ids)}
        return [found.get(message_id) for message_id in ids]

    async def _idempotency_keys(self, ids: list[UUID]) -> list[UUID | None]:
        viewer = self._context.require_viewer()
        async with self._context.reading() as connection:
            found = await messages.idempotency_keys(connection, viewer.id, ids)
        return [found.get(message_id) for message_id in ids]

    async def _participants(self, ids: list[UUID]) -> list[Sequence[Participant]]:
        found: dict[UUID, list[Participant]] = {conversation_id: [] for conversation_id in ids}
        async with self._context.reading() as connection:
            for participant in await conversations.participants_of(connection, ids):
                found[participant.conversation_id].append(participant)
        return [found[conversation_id] for conversation_id in ids]

    async def _ranges(self, ranges: list[SeqRange]) -> list[Sequence[Message]]:
        async with self._context.reading() as connection:
            rows = await messages.in_ranges(connection, ranges)
        found = {(row.conversation_id, row.seq): row for row in rows}
        return [
            [
                found[wanted.conversation_id, seq]
                for seq in range(wanted.first, wanted.last + 1)
                if (wanted.conversation_id, seq) in found
            ]
            for wanted in ranges
        ]
