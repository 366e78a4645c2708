"""Demo users and conversations, created by the same functions that the API calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid5

from db.engine import Database
from db.records import SessionTime, User
from realtime.broadcaster import Broadcaster
from resolvers import conversations, messages, sessions
from resolvers.context import Context

_TEXTS = Path(__file__).with_name("demo_conversations.txt")
_NAMESPACE = UUID("f7b5f0a4-6a0c-4c5b-9d53-0d1c4f2f5f0e")


@dataclass(frozen=True, slots=True)
class _Conversation:
    """A conversation between two usernames, and its messages in order, as pairs of author and text."""

    between: tuple[str, str]
    messages: list[tuple[str, str]]


async def create_demo_data(database: Database, broadcaster: Broadcaster) -> str:
    """Create the users, conversations and messages that do not exist yet, and return a summary in one line.

    Each message has a fixed idempotency key, so it is stored only once, even if its conversation has other
    messages.
    """
    demo = list(_demo_conversations())
    names = dict.fromkeys(name for conversation in demo for name in conversation.between)
    people = {name: await _person(database, name) for name in names}
    new = [await _write(database, broadcaster, conversation, people) for conversation in demo]
    return f"There are {len(people)} demo users with {len(demo)} conversations. {sum(new)} messages are new."


def _demo_conversations() -> Iterator[_Conversation]:
    """Parse the file: a line `[john, ada]` starts a conversation, and `ada: Hello` is a message."""
    for part in _TEXTS.read_text().split("\n\n"):
        heading, *lines = part.strip().splitlines()
        one, other = heading.strip("[]").split(", ")
        written = [line.partition(": ") for line in lines]
        yield _Conversation((one, other), [(author, text) for author, _, text in written])


async def _person(database: Database, name: str) -> User:
    signed_in = await sessions.sign_in_by_name(
        database, name, SessionTime(timedelta(seconds=1), timedelta(seconds=1))
    )
    await sessions.end(database, signed_in.session)
    return signed_in.session.user


async def _write(
    database: Database, broadcaster: Broadcaster, conversation: _Conversation, people: dict[str, User]
) -> int:
    """Store the missing messages, and return how many."""
    one, other = conversation.between
    async with Context(database, broadcaster, viewer=people[one]) as context:
        stored, _ = await conversations.create_conversation(context, people[other].username)
    new = 0
    for number, (author, text) in enumerate(conversation.messages):
        key = uuid5(_NAMESPACE, f"{one} {other} {number} {text}")
        async with Context(database, broadcaster, viewer=people[author]) as context:
            message = await messages.create_message(context, stored.id, text, str(key))
        new += message.seq > stored.last_seq
    return new
