"""Demo users and conversations, created by the same functions that the API calls."""

from collections.abc import Sequence
from datetime import timedelta

from db.engine import Database
from db.records import SessionTime, User
from realtime.broadcaster import Broadcaster
from resolvers import conversations, messages, sessions
from resolvers.context import Context

PEOPLE = (
    "john", "jane", "ada", "alan", "barbara", "claude", "dennis", "donald", "edsger", "frances",
    "grace", "hedy", "john.mccarthy", "ken", "leslie", "linus", "margaret", "niklaus", "radia", "shafi",
    "sophie", "tim", "tony", "vint", "whitfield", "adele", "annie", "bjarne", "guido", "karen",
)  # fmt: skip
LONG_CONVERSATION = 120
SHORT_CONVERSATION = 3

_LINES = (
    "Good morning! Are you there?",
    "Just got in. What is new?",
    "The build is green again.\nI had to pin one dependency.",
    "Which one was it?",
    "The one that we said we would never have to pin 🙂",
    "Lunch at noon?",
    "Make it half past, I am still in a call.",
    "See you there.",
)


async def create_demo_data(database: Database, broadcaster: Broadcaster) -> str:
    """Create the users and their conversations with john and jane; return a summary in one line.

    Conversations that already have messages are not changed.
    """
    people = {name: await _person(database, name) for name in PEOPLE}
    john, jane = people["john"], people["jane"]
    written = await _converse(database, broadcaster, john, jane, LONG_CONVERSATION)
    for name, other in people.items():
        if other not in (john, jane):
            written += await _converse(database, broadcaster, john, other, SHORT_CONVERSATION)
            if name < "h":
                written += await _converse(database, broadcaster, jane, other, SHORT_CONVERSATION)
    return f"There are {len(people)} demo users. {written} messages are new."


async def _person(database: Database, name: str) -> User:
    signed_in = await sessions.sign_in_by_name(
        database, name, SessionTime(timedelta(seconds=1), timedelta(seconds=1))
    )
    await sessions.end(database, signed_in.session)
    return signed_in.session.user


async def _converse(database: Database, broadcaster: Broadcaster, one: User, other: User, length: int) -> int:
    """Let the two write in turn if they have not yet; return how many messages are new."""
    async with Context(database, broadcaster, viewer=one) as context:
        conversation, _ = await conversations.create_conversation(context, other.username)
    if conversation.last_seq > 0:
        return 0
    for number in range(length):
        author: User = (one, other)[number % 2]
        async with Context(database, broadcaster, viewer=author) as context:
            await messages.create_message(context, conversation.id, _line(number, _LINES), None)
    return length


def _line(number: int, lines: Sequence[str]) -> str:
    return f"{lines[number % len(lines)]} ({number + 1})"
