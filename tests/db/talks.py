"""Random statements of the version before and of this one, for a few users who all talk to each other."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import combinations
from random import Random
from uuid import UUID, uuid4

from db import inboxes
from db.engine import Database
from db.ids import new_id
from db.inboxes import Outgoing
from db.outages import LOCK_ERRORS
from db.statements import Connection
from tests.db import version_before
from tests.db.version_before import Sent
from tests.support.marks import read_up_to

Step = Callable[[Connection], Awaitable[None]]
PEOPLE = 5


class Talks:
    """Conversations between the users. Each step executes one statement."""

    def __init__(self, people: Sequence[UUID], talks: Sequence[tuple[UUID, Sequence[UUID]]]) -> None:
        self.people = people
        self.talks = talks
        self.dice = Random(11)

    @classmethod
    async def begin(cls, database: Database, size: int = PEOPLE) -> "Talks":
        """Create the users, a conversation of each two of them, and one of all."""
        async with database.transaction() as connection:
            people = [
                await connection.fetchval(
                    "INSERT INTO users (id, username) VALUES ($1, $2) RETURNING id",
                    new_id(),
                    f"u-{uuid4().hex}",
                )
                for _ in range(size)
            ]
            await connection.execute("INSERT INTO inboxes (user_id) SELECT unnest($1::uuid[])", people)
            groups = [*combinations(people, 2), tuple(people)]
            talks = [(new_id(), group) for group in groups]
            for talk, group in talks:
                await connection.execute("INSERT INTO conversations (id) VALUES ($1)", talk)
                await connection.execute(
                    "INSERT INTO participants (conversation_id, user_id) SELECT $1, unnest($2::uuid[])",
                    talk,
                    group,
                )
        return cls(people, talks)

    def one(self) -> Sent:
        """Return a message of any participant."""
        talk, group = self.dice.choice(self.talks)
        return Sent(talk, self.dice.choice(group), "hello")

    async def sends(self, connection: Connection) -> None:
        """Send a message, as the version before does."""
        assert await version_before.send(connection, self.one())

    async def sends_all(self, connection: Connection) -> None:
        """Send several messages, as the version before does. Some answer others."""
        batch = [self.one() for _ in range(self.dice.randint(2, 8))]
        assert len(await version_before.send_all(connection, batch)) == len(batch)

    async def marks(self, connection: Connection) -> None:
        """Mark a conversation as read up to some message, as the version before does."""
        place = self.one()
        last: int = await connection.fetchval(
            "SELECT last_seq FROM conversations WHERE id = $1", place.conversation_id
        )
        seq = self.dice.choice([last, self.dice.randint(0, last)])
        await version_before.mark_read(connection, place.conversation_id, place.author_id, seq)

    async def sends_now(self, connection: Connection) -> None:
        """Send a message, as this version does."""
        message = self.one()
        assert await inboxes.deliver(connection, message.conversation_id, message.author_id, "hello")

    async def sends_all_now(self, connection: Connection) -> None:
        """Send several messages, as this version does."""
        batch = [self.one() for _ in range(self.dice.randint(2, 8))]
        await inboxes.deliver_all(
            connection, [Outgoing(each.conversation_id, each.author_id, each.content) for each in batch]
        )

    async def marks_now(self, connection: Connection) -> None:
        """Mark a conversation as read, as this version does."""
        place = self.one()
        last: int = await connection.fetchval(
            "SELECT last_seq FROM conversations WHERE id = $1", place.conversation_id
        )
        if last:
            seq = self.dice.choice([last, self.dice.randint(1, last)])
            await read_up_to(connection, place.conversation_id, place.author_id, seq)

    @property
    def of_before(self) -> Sequence[Step]:
        return [self.sends, self.sends, self.sends_all, self.marks]

    @property
    def of_both(self) -> Sequence[Step]:
        return [*self.of_before, self.sends_now, self.sends_now, self.sends_all_now, self.marks_now]

    @asynccontextmanager
    async def acting(self, database: Database, steps: Sequence[Step]) -> AsyncGenerator[list[float]]:
        """Execute such steps on three connections. Yield the seconds that each has taken."""
        took: list[float] = []
        is_over = asyncio.Event()

        async def act_on() -> None:
            async with database.connection() as connection:
                while not is_over.is_set():
                    begun = time.monotonic()
                    await self.act(connection, steps)
                    took.append(time.monotonic() - begun)

        tasks = [asyncio.create_task(act_on()) for _ in range(3)]
        try:
            yield took
        finally:
            is_over.set()
            await asyncio.gather(*tasks)

    async def act(self, connection: Connection, steps: Sequence[Step]) -> None:
        """Execute one of the steps; again if it did not get its locks, as a process does."""
        step = self.dice.choice(steps)
        while True:
            try:
                await step(connection)
            except LOCK_ERRORS:
                # A mark of the version before holds a participant's row when the trigger takes the inbox, and
                # may wait for a sender who waits for it.
                continue
            return
