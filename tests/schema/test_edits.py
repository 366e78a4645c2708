"""Authors edit their messages, by the rules of the API."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import users
from db.engine import Database
from db.entries import MESSAGE_DELETED, MESSAGE_UPDATED
from db.includes import NO_MESSAGE_INCLUDES, ConversationIncludes, MessageIncludes
from realtime.broadcaster import Broadcaster
from resolvers import edits
from resolvers.context import Context, Unlimited
from resolvers.conversations import of_message
from resolvers.errors import RateLimited, UserError, UserErrorCode
from resolvers.look_ahead import MessageLookAhead
from resolvers.messages import by_ids as messages_by_ids
from resolvers.rules import Rules
from schema.node import NodeType
from tests.conftest import SignIn
from tests.schema.own_messages import (
    DELETE_MESSAGE,
    MISSING,
    UPDATE_MESSAGE,
    Talk,
    error_of,
)


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


async def test_an_answer_shows_a_message_in_one_state(talk: Talk):
    ahead = MessageLookAhead(
        MessageIncludes(conversation=ConversationIncludes(last_message=NO_MESSAGE_INCLUDES))
    )
    async with Context(talk.database, Broadcaster(), viewer=await talk.viewer()) as context:
        [as_sent] = await messages_by_ids(context, [talk.row_id])
        await talk.edits("changed meanwhile")
        await context.refresh()
        conversation = await of_message(context, as_sent, ahead)
        assert context.prefetched.last_messages[conversation.id] == as_sent
