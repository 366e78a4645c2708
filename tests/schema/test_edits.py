"""Authors edit and delete their messages, by the rules of the API."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from db import users
from db.engine import Database
from db.entries import MESSAGE_DELETED, MESSAGE_UPDATED
from db.records import User
from db.tables import inbox_entries, messages
from realtime.broadcaster import Broadcaster
from resolvers import edits
from resolvers.context import Context, Unlimited
from resolvers.errors import RateLimited, UserError, UserErrorCode
from resolvers.messages import by_ids as messages_by_ids
from resolvers.rules import Rules
from schema.node import NodeType
from tests.conftest import SignIn
from tests.support.people import Person
from tests.support.tables import tables

MESSAGE = "id content version createdAt editedAt deletedAt mine viewerCanEdit viewerCanDelete"
UPDATE_MESSAGE = f"""
    mutation ($input: UpdateMessageInput!) {{
        updateMessage(input: $input) {{ message {{ {MESSAGE} }} userErrors {{ code message path }} }}
    }}
"""
DELETE_MESSAGE = f"""
    mutation ($input: DeleteMessageInput!) {{
        deleteMessage(input: $input) {{ message {{ {MESSAGE} }} userErrors {{ code message path }} }}
    }}
"""
CONVERSATION = f"""
    query ($id: ID!, $last: Int) {{
        conversation(id: $id) {{
            unreadCount hasUnreadMessages lastMessage {{ {MESSAGE} }}
            messages(last: $last) {{ edges {{ node {{ {MESSAGE} }} }} pageInfo {{ hasPreviousPage }} }}
        }}
    }}
"""
MISSING = "This message does not exist, or you are not part of its conversation."


@dataclass
class Talk:
    """A conversation of Ada's and Grace's with a message of Ada's."""

    ada: Person
    grace: Person
    id: str
    message: str
    database: Database

    async def edits(self, content: str, version: int | None = None, **other: Any) -> dict[str, Any]:
        """Return the payload of an edit by Ada."""
        given = {"messageId": self.message, "content": content, "expectedVersion": version}
        return (await self.ada.asks(UPDATE_MESSAGE, input=given | other))["updateMessage"]

    async def deletes(self, message: str | None = None) -> dict[str, Any]:
        """Return the payload of a deletion by Ada."""
        given = {"messageId": message or self.message}
        return (await self.ada.asks(DELETE_MESSAGE, input=given))["deleteMessage"]

    async def seen_by(self, person: Person, last: int = 25) -> dict[str, Any]:
        return (await person.asks(CONVERSATION, id=self.id, last=last))["conversation"]

    async def as_it_is(self) -> dict[str, Any]:
        """Return the message as Ada sees it."""
        return (
            await self.ada.asks(
                f"query ($id: ID!) {{ node(id: $id) {{ ... on Message {{ {MESSAGE} }} }} }}", id=self.message
            )
        )["node"]

    async def ages(self, **age: float) -> None:
        """Make the message older."""
        async with tables(self.database) as connection:
            await connection.execute(
                update(messages)
                .where(messages.c.id == self.row_id)
                .values(created_at=datetime.now(UTC) - timedelta(**age))
            )

    @property
    def row_id(self) -> UUID:
        row_id = NodeType.MESSAGE.decode(self.message)
        assert row_id is not None
        return row_id

    async def entries(self) -> int:
        """Return how many entries say that the message was edited or deleted."""
        async with tables(self.database) as connection:
            found = await connection.execute(
                select(inbox_entries).where(inbox_entries.c.subject_id == self.row_id)
            )
            return len(found.all())

    async def viewer(self) -> User:
        async with self.database.snapshot() as connection:
            user = await users.by_username(connection, self.ada.username)
        assert user is not None
        return user


@pytest.fixture
async def talk(signs_in: SignIn, database: Database) -> Talk:
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    sent = await ada.sends("hello", to=conversation)
    return Talk(ada, grace, conversation, sent["id"], database)


def error_of(payload: dict[str, Any]) -> tuple[str, str]:
    """Return the code of the only error, and the field of the input that it is about."""
    [error] = payload["userErrors"]
    assert error["path"][0] == "input"
    return error["code"], error["path"][1]


async def test_an_edited_message_has_its_new_text_and_a_higher_version(talk: Talk):
    before = await talk.as_it_is()
    assert (before["version"], before["editedAt"], before["deletedAt"]) == (1, None, None)
    assert (before["viewerCanEdit"], before["viewerCanDelete"]) == (True, True)
    payload = await talk.edits("  hello   there ", version=1)
    assert payload["userErrors"] == []
    edited = payload["message"]
    assert edited == await talk.as_it_is()
    assert (edited["content"], edited["version"]) == ("hello there", 2)
    assert edited["createdAt"] == before["createdAt"]
    assert edited["editedAt"] >= before["createdAt"]
    seen = await talk.seen_by(talk.grace)
    assert seen["lastMessage"]["content"] == "hello there"
    assert seen["unreadCount"] == 1
    assert (seen["lastMessage"]["viewerCanEdit"], seen["lastMessage"]["viewerCanDelete"]) == (False, False)
    assert (await talk.edits("again"))["message"]["version"] == 3


async def test_a_deleted_message_stays_in_its_place_without_content(talk: Talk):
    further = [await talk.ada.sends(str(number), to=talk.id) for number in range(4)]
    assert (await talk.deletes(further[1]["id"]))["userErrors"] == []
    deleted = (await talk.deletes(further[3]["id"]))["message"]
    assert (deleted["content"], deleted["version"], deleted["mine"]) == ("", 2, True)
    assert deleted["deletedAt"] >= deleted["createdAt"]
    assert (deleted["viewerCanEdit"], deleted["viewerCanDelete"]) == (False, False)
    seen = await talk.seen_by(talk.grace, last=4)
    assert seen["lastMessage"]["id"] == further[3]["id"]
    assert seen["lastMessage"]["deletedAt"] == deleted["deletedAt"]
    page = [edge["node"] for edge in seen["messages"]["edges"]]
    assert [node["content"] for node in page] == ["0", "", "2", ""]
    assert seen["messages"]["pageInfo"]["hasPreviousPage"]
    assert seen["unreadCount"] == 3


async def test_the_list_shows_a_deleted_message_as_the_last_one_and_its_place_stays(
    talk: Talk, signs_in: SignIn
):
    newer = await (other := await signs_in("other")).opens_conversation_with(talk.grace)
    await other.sends("newer", to=newer)
    await talk.deletes()
    listed = await talk.grace.asks(
        "{ conversations { edges { node { id unreadCount hasUnreadMessages"
        " lastMessage { content deletedAt version } } } } }"
    )
    first, second = (edge["node"] for edge in listed["conversations"]["edges"])
    assert first["id"] == newer
    assert (second["id"], second["unreadCount"], second["hasUnreadMessages"]) == (talk.id, 0, False)
    assert (second["lastMessage"]["content"], second["lastMessage"]["version"]) == ("", 2)
    assert second["lastMessage"]["deletedAt"] is not None


async def test_deleting_a_read_message_changes_no_counts(talk: Talk):
    read = """mutation ($input: ReadMessagesInput!) {
        readMessages(input: $input) { conversation { unreadCount } } }"""
    await talk.ada.sends("unread", to=talk.id)
    given = {"conversationId": talk.id, "upToMessageId": talk.message}
    marked = (await talk.grace.asks(read, input=given))["readMessages"]
    assert marked["conversation"]["unreadCount"] == 1
    await talk.deletes()
    assert (await talk.seen_by(talk.grace))["unreadCount"] == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [(" \u200b ", "BLANK"), ("x" * 481, "TOO_LONG"), ("a\0b", "INVALID")],
)
async def test_the_text_of_an_edit_follows_the_rules_of_new_messages(talk: Talk, content: str, code: str):
    payload = await talk.edits(content)
    assert error_of(payload) == (code, "content")
    assert payload["message"] is None
    # The text is checked first.
    assert error_of(await talk.edits(content, messageId="nothing")) == (code, "content")
    assert (await talk.as_it_is())["content"] == "hello"


async def test_messages_that_the_viewer_cannot_see_do_not_exist(talk: Talk, signs_in: SignIn):
    eve = await signs_in("eve")
    absent = (talk.message, talk.id, NodeType.MESSAGE.encode(uuid4()), "nothing", "")
    for message in absent:
        for document, name, given in (
            (UPDATE_MESSAGE, "updateMessage", {"content": "hello", "expectedVersion": 1}),
            (DELETE_MESSAGE, "deleteMessage", {}),
        ):
            payload = (await eve.asks(document, input={"messageId": message, **given}))[name]
            expected = {"code": "NOT_FOUND", "message": MISSING, "path": ["input", "messageId"]}
            assert payload == {"message": None, "userErrors": [expected]}
    assert (await talk.as_it_is())["version"] == 1


async def test_only_the_author_can_edit_or_delete(talk: Talk):
    given = {"messageId": talk.message}
    # Also if nothing would change.
    for content in ("changed", "hello"):
        asked = {**given, "content": content, "expectedVersion": 7}
        edit = (await talk.grace.asks(UPDATE_MESSAGE, input=asked))["updateMessage"]
        assert error_of(edit) == ("NOT_ALLOWED", "messageId")
        assert edit["message"] is None
    deletion = (await talk.grace.asks(DELETE_MESSAGE, input=given))["deleteMessage"]
    assert error_of(deletion) == ("NOT_ALLOWED", "messageId")
    assert deletion["message"] is None
    await talk.deletes()
    deletion = (await talk.grace.asks(DELETE_MESSAGE, input=given))["deleteMessage"]
    assert error_of(deletion) == ("NOT_ALLOWED", "messageId")
    assert await talk.entries() == 2, "the entries of the deletion by its author"


async def test_the_same_edit_twice_is_one_entry(talk: Talk):
    first = await talk.edits("hello there", version=1)
    assert await talk.entries() == 2, "one in each inbox"
    # With the version that it was made for, and late.
    assert await talk.edits("hello  there", version=1) == first
    await talk.ages(hours=2)
    repeated = await talk.edits("hello there", version=1)
    assert repeated["userErrors"] == []
    assert repeated["message"]["version"] == 2
    assert await talk.entries() == 2


async def test_an_edit_of_another_version_is_a_conflict_that_shows_the_message(talk: Talk):
    await talk.edits("from the telephone", version=1)
    payload = await talk.edits("from the laptop", version=1)
    assert error_of(payload) == ("CONFLICT", "expectedVersion")
    assert payload["message"] == await talk.as_it_is()
    assert payload["message"]["content"] == "from the telephone"
    # Also if it is too late by now, so that the user sees the other text.
    await talk.ages(hours=2)
    assert error_of(await talk.edits("from the laptop", version=1)) == ("CONFLICT", "expectedVersion")


async def test_versions_below_one_are_invalid(talk: Talk):
    for version in (0, -1):
        payload = await talk.edits("hello there", version=version)
        assert error_of(payload) == ("INVALID", "expectedVersion")
        assert payload["message"] is None


async def test_a_version_that_the_database_has_lost_is_a_conflict(talk: Talk):
    payload = await talk.edits("hello there", version=2)
    assert error_of(payload) == ("CONFLICT", "expectedVersion")
    assert payload["message"]["version"] == 1


async def test_a_deleted_message_cannot_be_edited(talk: Talk):
    await talk.deletes()
    for version in (1, 2):
        payload = await talk.edits("back again", version=version)
        assert error_of(payload) == ("CONFLICT", "expectedVersion")
        assert payload["message"] == await talk.as_it_is()
        assert payload["message"]["deletedAt"] is not None
    payload = await talk.edits("back again")
    assert error_of(payload) == ("NOT_ALLOWED", "messageId")
    assert payload["message"] is None
    assert (await talk.as_it_is())["content"] == ""


async def test_deleting_again_changes_nothing(talk: Talk):
    first = await talk.deletes()
    assert await talk.deletes() == first
    assert await talk.entries() == 2


async def test_a_message_can_be_edited_for_as_long_as_the_server_says(talk: Talk):
    limits = (await talk.ada.asks("{ serverInfo { limits { editSeconds } } }"))["serverInfo"]["limits"]
    await talk.ages(seconds=limits["editSeconds"] - 60)
    assert (await talk.as_it_is())["viewerCanEdit"]
    assert (await talk.edits("in time"))["userErrors"] == []
    await talk.ages(seconds=limits["editSeconds"] + 1)
    shown = await talk.as_it_is()
    assert (shown["viewerCanEdit"], shown["viewerCanDelete"]) == (False, True)
    payload = await talk.edits("too late", version=2)
    assert error_of(payload) == ("TOO_LATE", "messageId")
    assert payload["message"] is None
    assert (await talk.as_it_is())["content"] == "in time"
    assert (await talk.deletes())["userErrors"] == []


async def test_editing_can_be_switched_off(talk: Talk):
    # Also for a message from the future, as after the clock was set back.
    await talk.ages(seconds=-60)
    never = Rules(edit_seconds=0)
    async with Context(talk.database, Broadcaster(), viewer=await talk.viewer(), rules=never) as context:
        with pytest.raises(UserError) as raised:
            await edits.update_message(context, talk.row_id, "changed", None)
        assert raised.value.code is UserErrorCode.TOO_LATE
        [message] = await messages_by_ids(context, [talk.row_id])
        assert not edits.can_edit(context, message)
        assert edits.can_delete(context, message)


async def test_an_edit_counts_as_a_sent_message(talk: Talk):
    class Full(Unlimited):
        async def count_message(self, user_id: UUID) -> None:
            raise RateLimited(f"{user_id} has sent too many messages", 7)

    async with Context(talk.database, Broadcaster(), viewer=await talk.viewer(), limits=Full()) as context:
        with pytest.raises(RateLimited):
            await edits.update_message(context, talk.row_id, "changed", None)
        assert (await edits.delete_message(context, talk.row_id)).deleted_at is not None


async def test_a_deletion_beats_edits_that_race_with_it_in_two_processes(talk: Talk, database: Database):
    """The server's and this one."""
    viewer = await talk.viewer()

    async def edits_here(content: str) -> None:
        async with Context(database, Broadcaster(), viewer=viewer) as context:
            try:
                await edits.update_message(context, talk.row_id, content, None)
            except UserError as error:
                assert error.code is UserErrorCode.NOT_ALLOWED

    for number in range(10):
        talk.message = (await talk.ada.sends(f"number {number}", to=talk.id))["id"]
        async with asyncio.timeout(20):
            await asyncio.gather(
                *(edits_here(f"here {nth}") for nth in range(3)),
                *(talk.edits(f"there {nth}") for nth in range(3)),
                talk.deletes(),
            )
        last = await talk.as_it_is()
        assert last["content"] == ""
        assert last["deletedAt"] is not None
        # Each edit before the deletion, and the deletion, has its entries.
        assert await talk.entries() == 2 * (last["version"] - 1)
    assert (await talk.seen_by(talk.grace))["unreadCount"] == 1


async def test_every_participant_is_told_once_after_the_commit(talk: Talk, database: Database):
    broadcaster = Broadcaster()
    viewer = await talk.viewer()
    async with database.snapshot() as connection:
        grace = await users.by_username(connection, talk.grace.username)
    assert grace is not None
    told = [await broadcaster.attach(user_id) for user_id in (viewer.id, grace.id)]
    async with Context(database, broadcaster, viewer=viewer) as context:
        edited = await edits.update_message(context, talk.row_id, "changed", 1)
        assert await edits.update_message(context, talk.row_id, "changed", 1) == edited
        with pytest.raises(UserError):
            await edits.update_message(context, talk.row_id, "changed again", 1)
        deleted = await edits.delete_message(context, talk.row_id)
        assert await edits.delete_message(context, talk.row_id) == deleted
    for subscriber in told:
        for position, kind, message in ((2, MESSAGE_UPDATED, edited), (3, MESSAGE_DELETED, deleted)):
            async with asyncio.timeout(20):
                hint = await subscriber.next()
            assert hint is not None
            assert (hint.entry.position, hint.entry.kind, hint.entry.message) == (position, kind, message)
            assert (hint.entry.subject_id, hint.entry.actor_id) == (talk.row_id, viewer.id)
        assert not subscriber.is_woken


async def test_a_stream_of_new_messages_passes_over_edits_and_deletions(talk: Talk):
    async with talk.grace.listening() as stream:
        await talk.edits("changed")
        await talk.ada.sends("next", to=talk.id)
        await talk.deletes()
        await talk.ada.sends("last", to=talk.id)
        assert await stream.contents(2) == ["next", "last"]


async def test_a_repeated_key_answers_with_the_message_as_it_is(talk: Talk):
    key = str(uuid4())
    talk.message = (await talk.ada.sends("as sent", to=talk.id, key=key))["id"]

    async def repeats(content: str) -> dict[str, Any]:
        return await talk.ada.tries_to_send(content, to=talk.id, key=key)

    for change, content in ((talk.edits("as edited"), "as edited"), (talk.deletes(), "")):
        await change
        payload = await repeats("as sent")
        assert payload["userErrors"] == []
        assert (payload["message"]["id"], payload["message"]["content"]) == (talk.message, content)
        assert error_of(await repeats("as edited")) == ("INVALID", "idempotencyKey")
    seen = await talk.seen_by(talk.ada)
    assert len(seen["messages"]["edges"]) == 2


async def test_a_message_that_was_deleted_before_it_was_delivered_arrives_without_content(talk: Talk):
    cursor = await talk.grace.inbox_cursor()
    deleted = await talk.ada.sends("deleted at once", to=talk.id)
    await talk.deletes(deleted["id"])
    await talk.ada.sends("next", to=talk.id)
    async with talk.grace.listening(after=cursor) as stream:
        assert await stream.contents(2) == ["", "next"]
