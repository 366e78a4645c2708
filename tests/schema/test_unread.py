"""What is unread is exactly what a model of the conversations says, after every mutation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from db import conversations as rows
from db import users
from db.engine import Database
from db.records import UnreadTotals, User
from realtime.broadcaster import Broadcaster
from resolvers import conversations, edits, inbox, messages
from resolvers.context import Context
from resolvers.read_marks import read_messages
from tests.support.counts import miscounted

Step = tuple[str, int, int, int]
"""What is done, in which conversation, by which of its participants, and to which message."""
steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "edit", "delete", "delete", "read", "read", "read all"]),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(0, 7),
    ),
    # Shorter ones rarely read up to the middle of what has been sent and deleted.
    min_size=12,
    max_size=30,
)


@dataclass
class Talk:
    """A conversation, as it should be."""

    id: UUID
    people: Sequence[User]
    messages: list[UUID] = field(default_factory=list[UUID])
    authors: list[UUID] = field(default_factory=list[UUID])
    deleted: set[UUID] = field(default_factory=set[UUID])
    read: dict[UUID, int] = field(default_factory=dict[UUID, int])
    """How many messages each participant has read."""

    def unread_by(self, reader: UUID) -> int:
        after = self.read.get(reader, 0)
        return sum(
            author != reader and message not in self.deleted
            for message, author in zip(self.messages[after:], self.authors[after:], strict=True)
        )

    def reads(self, reader: UUID, count: int) -> None:
        self.read[reader] = max(count, self.read.get(reader, 0))

    async def take(self, context: Context, what: str, place: int) -> None:
        """Do one thing as the context's viewer, and note what should have happened."""
        viewer = context.require_viewer().id
        if what == "send":
            sent = await messages.create_message(context, self.id, "hello", None)
            self.messages.append(sent.id)
            self.authors.append(viewer)
            self.reads(viewer, len(self.messages))
        elif what == "read all":
            marked = await read_messages(context, self.id, None, whole=True)
            self.reads(viewer, len(self.messages))
            assert marked.unread_count == 0
        elif what == "read" and self.messages:
            place %= len(self.messages)
            marked = await read_messages(context, self.id, self.messages[place], whole=False)
            self.reads(viewer, place + 1)
            assert marked.unread_count == self.unread_by(viewer)
        elif what in {"edit", "delete"} and viewer in self.authors:
            own = [each for each, author in zip(self.messages, self.authors, strict=True) if author == viewer]
            message = own[place % len(own)]
            if what == "delete":
                await edits.delete_message(context, message)
                self.deleted.add(message)
            elif message not in self.deleted:
                await edits.update_message(context, message, f"edited {place}", None)


async def seen_by(context: Context, talks: Sequence[Talk]) -> tuple[Mapping[UUID, int], UnreadTotals]:
    """Return the viewer's count of each conversation, and the totals."""
    found = await conversations.by_ids(context, [talk.id for talk in talks])
    listed = set((await conversations.recent(context, 10, None)).conversations)
    assert listed == {each for each in found if each.last_seq > 0}
    return {each.id: each.unread_count for each in found}, await inbox.unread(context)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
# Reading up to a deleted message that others follow, and to one that is deleted afterwards.
@example([("send", 0, 0, 0), ("send", 0, 0, 0), ("delete", 0, 0, 0), ("read", 0, 1, 0)])
@example(
    [("send", 0, 0, 0), ("send", 0, 0, 0), ("read", 0, 1, 0), ("delete", 0, 0, 0), ("read all", 0, 1, 0)]
)
async def test_counts_and_totals_are_exact_after_every_mutation(database: Database, sequence: list[Step]):
    async with database.transaction() as connection:
        people = [
            await users.create(connection, f"{name}-{uuid4().hex[:12]}") for name in ("ada", "bo", "cy")
        ]
        pairs = [people[:2], people[1:]]
        talks = [Talk((await rows.open_pair(connection, pair[0].id, pair[1].id))[0], pair) for pair in pairs]
    broadcaster = Broadcaster()
    for what, which, who, place in sequence:
        talk = talks[which]
        async with Context(database, broadcaster, viewer=talk.people[who]) as context:
            await talk.take(context, what, place)
        for user in people:
            own = [talk for talk in talks if user in talk.people]
            counts = {talk.id: talk.unread_by(user.id) for talk in own}
            expected = UnreadTotals(sum(count > 0 for count in counts.values()), sum(counts.values()))
            async with Context(database, broadcaster, viewer=user) as context:
                assert await seen_by(context, own) == (counts, expected)
    async with database.snapshot() as connection:
        assert await miscounted(connection, [user.id for user in people]) == []
