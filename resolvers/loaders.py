"""Data loaders, which combine the single reads of a selection into one statement for each kind of object."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from db import conversations, messages, users
from db.messages import SeqRange
from db.records import Conversation, Message, Participant, User
from resolvers.snapshot import Snapshot

_T = TypeVar("_T")


def present(found: Iterable[_T | None]) -> list[_T]:
    """Return the objects that a loader has found, without None for missing ones."""
    return [each for each in found if each is not None]


class Loaders:
    """A loader for each kind of object, created when it is first used."""

    def __init__(self, snapshot: Snapshot, require_viewer: Callable[[], User]) -> None:
        """Read objects that the viewer may see from this snapshot."""
        self._snapshot = snapshot
        self._require_viewer = require_viewer
        self._users_asked_for: dict[UUID, asyncio.Future[User | None]] = {}

    @cached_property
    def users(self) -> DataLoader[UUID, User | None]:
        """Users by their IDs."""
        return DataLoader(self._users, cache_map=self._users_asked_for)

    def known_user(self, user_id: UUID) -> User | None:
        """Return a user that has already been loaded, or None. This does not read from the database."""
        asked_for = self._users_asked_for.get(user_id)
        return asked_for.result() if asked_for is not None and asked_for.done() else None

    @cached_property
    def conversations(self) -> DataLoader[UUID, Conversation | None]:
        """The viewer's conversations by their IDs."""
        return DataLoader(self._conversations)

    @cached_property
    def messages(self) -> DataLoader[UUID, Message | None]:
        """Messages that the viewer can see, by their IDs."""
        return DataLoader(self._messages)

    @cached_property
    def idempotency_keys(self) -> DataLoader[UUID, UUID | None]:
        """The idempotency keys of messages, by the messages' IDs."""
        return DataLoader(self._idempotency_keys)

    @cached_property
    def participants(self) -> DataLoader[UUID, Sequence[Participant]]:
        """Participants, by the conversations' IDs."""
        return DataLoader(self._participants)

    @cached_property
    def ranges(self) -> DataLoader[SeqRange, Sequence[Message]]:
        """Messages, by ranges of a conversation."""
        return DataLoader(self._ranges)

    async def _users(self, ids: list[UUID]) -> list[User | None]:
        async with self._snapshot.reading() as connection:
            found = {user.id: user for user in await users.by_ids(connection, ids)}
        return [found.get(user_id) for user_id in ids]

    async def _conversations(self, ids: list[UUID]) -> list[Conversation | None]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            found = {one.id: one for one in await conversations.by_ids(connection, viewer.id, ids)}
        return [found.get(conversation_id) for conversation_id in ids]

    async def _messages(self, ids: list[UUID]) -> list[Message | None]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            found = {one.id: one for one in await messages.visible_to(connection, viewer.id, ids)}
        return [found.get(message_id) for message_id in ids]

    async def _idempotency_keys(self, ids: list[UUID]) -> list[UUID | None]:
        viewer = self._require_viewer()
        async with self._snapshot.reading() as connection:
            found = await messages.idempotency_keys(connection, viewer.id, ids)
        return [found.get(message_id) for message_id in ids]

    async def _participants(self, ids: list[UUID]) -> list[Sequence[Participant]]:
        found: dict[UUID, list[Participant]] = {conversation_id: [] for conversation_id in ids}
        async with self._snapshot.reading() as connection:
            for participant in await conversations.participants_of(connection, ids):
                found[participant.conversation_id].append(participant)
        return [found[conversation_id] for conversation_id in ids]

    async def _ranges(self, ranges: list[SeqRange]) -> list[Sequence[Message]]:
        async with self._snapshot.reading() as connection:
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
