"""Data loaders, which combine the single reads of a selection into one statement for each kind of object."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from db import conversations, message_pages, messages, users
from db.asked_pages import AskedPage, MessagePage
from db.includes import ConversationIncludes, MessageIncludes
from db.prefetched import Prefetched, SeqRange
from db.records import Conversation, Message, Participant, User
from resolvers.snapshot import Snapshot

_T = TypeVar("_T")


def present(found: Iterable[_T | None]) -> list[_T]:
    """Return the objects that a loader has found, without None for missing ones."""
    return [each for each in found if each is not None]


class Loaders:
    """A loader for each kind of object, created when it is first used.

    Resolvers look first at what has been found.
    """

    def __init__(
        self, snapshot: Snapshot, require_viewer: Callable[[], User], prefetched: Prefetched
    ) -> None:
        """Read objects that the viewer may see from this snapshot, and add them to `prefetched`."""
        self._reads = _Reads(snapshot, require_viewer, prefetched)
        self._conversations: dict[ConversationIncludes, DataLoader[UUID, Conversation | None]] = {}
        self._messages: dict[MessageIncludes, DataLoader[UUID, Message | None]] = {}
        self._ranges: dict[MessageIncludes, DataLoader[SeqRange, Sequence[Message]]] = {}
        self._pages: dict[tuple[MessageIncludes, bool], DataLoader[tuple[UUID, AskedPage], MessagePage]] = {}

    @cached_property
    def users(self) -> DataLoader[UUID, User | None]:
        """Users by their IDs."""
        return DataLoader(self._reads.users)

    def conversations(self, includes: ConversationIncludes) -> DataLoader[UUID, Conversation | None]:
        """Return the loader of the viewer's conversations by their IDs."""
        if includes not in self._conversations:
            self._conversations[includes] = DataLoader(partial(self._reads.conversations, includes))
        return self._conversations[includes]

    def messages(self, includes: MessageIncludes) -> DataLoader[UUID, Message | None]:
        """Return the loader of messages that the viewer can see, by their IDs."""
        if includes not in self._messages:
            self._messages[includes] = DataLoader(partial(self._reads.messages, includes))
        return self._messages[includes]

    def ranges(self, includes: MessageIncludes) -> DataLoader[SeqRange, Sequence[Message]]:
        """Return the loader of messages by ranges of a conversation."""
        if includes not in self._ranges:
            self._ranges[includes] = DataLoader(partial(self._reads.ranges, includes))
        return self._ranges[includes]

    def pages(
        self, includes: MessageIncludes, *, is_from_end: bool
    ) -> DataLoader[tuple[UUID, AskedPage], MessagePage]:
        """Return the loader of pages of conversations, all of which are asked for with this `is_from_end`."""
        key = includes, is_from_end
        if key not in self._pages:
            self._pages[key] = DataLoader(partial(self._reads.pages, *key))
        return self._pages[key]

    @cached_property
    def idempotency_keys(self) -> DataLoader[UUID, UUID | None]:
        """The idempotency keys of messages, by the messages' IDs."""
        return DataLoader(self._reads.idempotency_keys)

    @cached_property
    def participants(self) -> DataLoader[UUID, Sequence[Participant]]:
        """Participants, by the conversations' IDs."""
        return DataLoader(self._reads.participants)


class _Reads:
    """The reads of the loaders. They do not refer to `Loaders`, so that it is freed when its request ends.

    Otherwise, only the garbage collector could free all that a request has read.
    """

    def __init__(
        self, snapshot: Snapshot, require_viewer: Callable[[], User], prefetched: Prefetched
    ) -> None:
        self._snapshot = snapshot
        self._require_viewer = require_viewer
        self._prefetched = prefetched

    async def users(self, ids: list[UUID]) -> list[User | None]:
        async with self._snapshot.reading() as connection:
            self._prefetched.users.update((user.id, user) for user in await users.by_ids(connection, ids))
        return [self._prefetched.users.get(user_id) for user_id in ids]

    async def conversations(
        self, includes: ConversationIncludes, ids: list[UUID]
    ) -> list[Conversation | None]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            await conversations.by_ids(connection, viewer.id, ids, includes, self._prefetched)
        return [self._prefetched.conversations.get(conversation_id) for conversation_id in ids]

    async def messages(self, includes: MessageIncludes, ids: list[UUID]) -> list[Message | None]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            rows = await messages.visible_to(connection, viewer.id, ids, includes, self._prefetched)
        found = {row.id: row for row in rows}
        return [found.get(message_id) for message_id in ids]

    async def ranges(self, includes: MessageIncludes, ranges: list[SeqRange]) -> list[Sequence[Message]]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            rows = await messages.in_ranges(connection, viewer.id, ranges, includes, self._prefetched)
        found = {(row.conversation_id, row.seq): row for row in rows}
        return [
            [
                found[wanted.conversation_id, seq]
                for seq in range(wanted.first, wanted.last + 1)
                if (wanted.conversation_id, seq) in found
            ]
            for wanted in ranges
        ]

    async def pages(
        self, includes: MessageIncludes, is_from_end: bool, wanted: list[tuple[UUID, AskedPage]]
    ) -> list[MessagePage]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            found = await message_pages.pages(
                connection,
                viewer.id,
                wanted,
                is_from_end=is_from_end,
                includes=includes,
                prefetched=self._prefetched,
            )
        return list(found)

    async def idempotency_keys(self, ids: list[UUID]) -> list[UUID | None]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            found = await messages.idempotency_keys(connection, viewer.id, ids)
        return [found.get(message_id) for message_id in ids]

    async def participants(self, ids: list[UUID]) -> list[Sequence[Participant]]:
        found: dict[UUID, list[Participant]] = {conversation_id: [] for conversation_id in ids}
        async with self._snapshot.reading() as connection:
            for participant in await conversations.participants_of(connection, ids):
                found[participant.conversation_id].append(participant)
        return [found[conversation_id] for conversation_id in ids]
