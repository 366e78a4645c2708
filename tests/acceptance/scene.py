"""Users with conversations, and what they have done."""

import asyncio
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from db.engine import Database
from schema.node import NodeType
from tests.conftest import sign_in
from tests.support import removals
from tests.support.people import Person


@dataclass
class Talk:
    """A conversation, with the messages that its participants have sent."""

    id: str
    people: list[Person]
    messages: list[str] = field(default_factory=list[str])
    authors: list[Person] = field(default_factory=list[Person])
    deleted: set[str] = field(default_factory=set[str])

    def of(self, author: Person) -> list[str]:
        """Return the messages of an author, the oldest first."""
        return [each for each, by in zip(self.messages, self.authors, strict=True) if by is author]

    async def send(self, author: Person, content: str = "hello", *, key: str | None = None) -> str:
        """Send a message, and return its ID."""
        sent: str = (await author.sends(content, to=self.id, key=key))["id"]
        if sent not in self.messages:
            self.messages.append(sent)
            self.authors.append(author)
        return sent


@dataclass
class Scene:
    """Ada, Grace and Joan with their conversations, and Hal, who has none with messages.

    Ada talks to Grace, to Joan, and to both of them in a group. There are two conversations with Hal that
    have no messages: Ada has opened one, and both Grace and Hal have opened the other.
    """

    http: httpx.AsyncClient
    database: Database
    ada: Person
    grace: Person
    joan: Person
    hal: Person
    pair: Talk
    other_pair: Talk
    group: Talk
    empty: Talk
    empty_for_both: Talk
    removed: list[Person] = field(default_factory=list[Person])

    @classmethod
    async def set(cls, http: httpx.AsyncClient, database: Database) -> "Scene":
        """Sign the users in, and open the conversations."""
        names = ("ada", "grace", "joan", "hal")
        ada, grace, joan, hal = await asyncio.gather(*(sign_in(http, name) for name in names))
        pair = Talk(await ada.opens_conversation_with(grace), [ada, grace])
        other_pair = Talk(await ada.opens_conversation_with(joan), [ada, joan])
        empty = Talk(await ada.opens_conversation_with(hal), [ada, hal])
        empty_for_both = Talk(await hal.opens_conversation_with(grace), [grace, hal])
        assert await grace.opens_conversation_with(hal) == empty_for_both.id
        group = Talk(await _group(database, ada, grace, joan), [ada, grace, joan])
        return cls(http, database, ada, grace, joan, hal, pair, other_pair, group, empty, empty_for_both)

    def opened_by(self, person: Person) -> list[str]:
        """Return the conversations without messages that a user has opened."""
        return {
            self.ada.username: [self.empty.id],
            self.grace.username: [self.empty_for_both.id],
            self.hal.username: [self.empty_for_both.id],
        }.get(person.username, [])

    @property
    def people(self) -> list[Person]:
        """The users who have not been removed."""
        return [each for each in (self.ada, self.grace, self.joan, self.hal) if each not in self.removed]

    @property
    def talks(self) -> list[Talk]:
        return [self.pair, self.other_pair, self.group, self.empty, self.empty_for_both]

    async def begin(self, rounds: int = 1) -> None:
        """Have everyone send a message to each of their conversations, in turn, this many times."""
        for talk in (self.other_pair, self.group, self.pair):
            for author in talk.people * rounds:
                await talk.send(author)

    async def signs_in_again(self, person: Person) -> str:
        """Sign a user in on another device, and return the token."""
        response = await self.http.post("/auth/dev/login", json={"username": person.username})
        self.http.cookies.clear()
        assert response.status_code == 200, response.text
        return response.json()["token"]

    async def remove(self, person: Person) -> None:
        """Remove a user as `messenger remove-user` does."""
        await removals.remove(self.database, person.username)
        self.removed.append(person)


async def _group(database: Database, *people: Person) -> str:
    """Return a new conversation of these users. The API opens only those of two."""
    conversation = uuid4()
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO conversations (id) VALUES ($1)", conversation)
        await connection.execute(
            "INSERT INTO participants (conversation_id, user_id)"
            " SELECT $1, id FROM users WHERE username = ANY($2)",
            conversation,
            [person.username for person in people],
        )
    return NodeType.CONVERSATION.encode(conversation)
