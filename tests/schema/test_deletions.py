"""Authors delete their messages, which stay in their places without content."""

import asyncio

from db.engine import Database
from realtime.broadcaster import Broadcaster
from resolvers import edits
from resolvers.context import Context
from resolvers.errors import UserError, UserErrorCode
from tests.conftest import SignIn
from tests.schema.own_messages import (
    Talk,
    error_of,
)


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


async def test_a_message_that_was_deleted_before_it_was_delivered_arrives_without_content(talk: Talk):
    cursor = await talk.grace.inbox_cursor()
    deleted = await talk.ada.sends("deleted at once", to=talk.id)
    await talk.deletes(deleted["id"])
    await talk.ada.sends("next", to=talk.id)
    async with talk.grace.listening(after=cursor) as stream:
        assert await stream.contents(2) == ["", "next"]
