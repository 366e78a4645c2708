"""Queries return what exists, in pages, at a constant cost, and nothing that belongs to other users."""

import asyncio
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from db.engine import Database
from tests.conftest import SignIn
from tests.support.people import CREATE_CONVERSATION, Person
from tests.support.tables import tables

CONVERSATIONS = """
    query ($first: Int! = 25, $after: String) {
        conversations(first: $first, after: $after) {
            edges {
                cursor
                node {
                    id unreadCount hasUnreadMessages
                    participants { username }
                    otherParticipant { username avatarUrl }
                    lastMessage { content mine readByOthers author { username } }
                }
            }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
    }
"""
MESSAGES = """
    query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
        conversation(id: $id) {
            messages(first: $first, after: $after, last: $last, before: $before) {
                edges { cursor node { content author { username } } }
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            }
        }
    }
"""


async def page_of(person: Person, conversation: str, **arguments: Any) -> dict[str, Any]:
    return (await person.asks(MESSAGES, id=conversation, **arguments))["conversation"]["messages"]


def contents(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["content"] for edge in page["edges"]]


async def test_paging_back_returns_every_message_once(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    everything = [str(number) for number in range(57)]
    for content in everything:
        await ada.sends(content, to=conversation)
    page = await page_of(grace, conversation)
    assert contents(page) == everything[-25:]
    assert (page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]) == (True, False)
    met = contents(page)
    while page["pageInfo"]["hasPreviousPage"]:
        # Messages sent meanwhile do not move the pages.
        await grace.sends("meanwhile", to=conversation)
        page = await page_of(grace, conversation, last=10, before=page["pageInfo"]["startCursor"])
        assert page["pageInfo"]["hasNextPage"]
        met = contents(page) + met
    assert met == everything


async def test_paging_forward_from_the_start_returns_every_message_once(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    everything = [str(number) for number in range(23)]
    for content in everything:
        await ada.sends(content, to=conversation)
    page = await page_of(ada, conversation, first=10)
    met = contents(page)
    assert not page["pageInfo"]["hasPreviousPage"]
    while page["pageInfo"]["hasNextPage"]:
        page = await page_of(ada, conversation, first=10, after=page["pageInfo"]["endCursor"])
        met += contents(page)
    assert met == everything
    end = await page_of(ada, conversation, after=page["pageInfo"]["endCursor"])
    assert end == {
        "edges": [],
        "pageInfo": {
            "hasNextPage": False,
            "hasPreviousPage": True,
            "startCursor": None,
            "endCursor": None,
        },
    }


async def test_the_newest_conversation_comes_first_and_empty_ones_are_left_out(signs_in: SignIn):
    ada = await signs_in("ada")
    friends = [await signs_in(f"friend{number}") for number in range(5)]
    rooms = [await ada.opens_conversation_with(friend) for friend in friends]
    for room in rooms[:4]:
        await ada.sends("hello", to=room)
    await friends[1].sends("back to the top", to=rooms[1])
    expected = [rooms[1], rooms[3], rooms[2], rooms[0]]

    met: list[str] = []
    after, has_more = None, True
    while has_more:
        page = (await ada.asks(CONVERSATIONS, first=3, after=after))["conversations"]
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        met += [edge["node"]["id"] for edge in page["edges"]]
        after, has_more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert met == expected

    newest = (await ada.asks(CONVERSATIONS))["conversations"]["edges"][0]["node"]
    assert newest["otherParticipant"] == {"username": friends[1].username, "avatarUrl": None}
    assert {each["username"] for each in newest["participants"]} == {ada.username, friends[1].username}
    assert (newest["unreadCount"], newest["hasUnreadMessages"]) == (1, True)
    assert newest["lastMessage"]["content"] == "back to the top"


async def test_read_marks_only_move_forward(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    sent = [await ada.sends(str(number), to=conversation) for number in range(5)]
    read = """
        mutation ($input: ReadMessagesInput!) {
            readMessages(input: $input) { conversation { unreadCount } userErrors { code path } }
        }
    """
    seen_by_ada = """
        query ($id: ID!) { conversation(id: $id) { messages { edges { node { readByOthers } } } } }
    """

    async def unread_after_reading(up_to: str | None) -> int:
        given = {"conversationId": conversation, "upToMessageId": up_to}
        return (await grace.asks(read, input=given))["readMessages"]["conversation"]["unreadCount"]

    async def read_by_grace() -> list[bool]:
        page = (await ada.asks(seen_by_ada, id=conversation))["conversation"]["messages"]
        return [edge["node"]["readByOthers"] for edge in page["edges"]]

    assert await read_by_grace() == [False] * 5
    assert await unread_after_reading(sent[2]["id"]) == 2
    assert await unread_after_reading(sent[0]["id"]) == 2
    assert await read_by_grace() == [True, True, True, False, False]
    assert await unread_after_reading(None) == 0
    await ada.sends("one more", to=conversation)
    await grace.sends("an answer reads what came before", to=conversation)
    assert await read_by_grace() == [True] * 6 + [False]

    other = await grace.opens_conversation_with(await signs_in("eve"))
    foreign = {"conversationId": other, "upToMessageId": sent[0]["id"]}
    payload = (await grace.asks(read, input=foreign))["readMessages"]
    assert payload == {
        "conversation": None,
        "userErrors": [{"code": "NOT_FOUND", "path": ["input", "upToMessageId"]}],
    }


async def test_the_idempotency_key_is_visible_only_to_its_author(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    query = """
        query ($id: ID!) {
            conversation(id: $id) { messages { edges { node { content idempotencyKey } } } }
        }
    """
    subscription = """
        subscription { messageCreated(includeMine: true) { message { content idempotencyKey } } }
    """

    async def seen_by(person: Person) -> dict[str, str | None]:
        page = (await person.asks(query, id=conversation))["conversation"]["messages"]
        return {edge["node"]["content"]: edge["node"]["idempotencyKey"] for edge in page["edges"]}

    of_ada, of_grace = str(uuid4()), str(uuid4())
    async with grace.streaming(subscription) as at_grace, ada.streaming(subscription) as at_ada:
        await ada.sends("of Ada", to=conversation, key=of_ada.upper())
        await grace.sends("of Grace", to=conversation, key=of_grace)
        await ada.sends("without", to=conversation)
        heard: list[dict[str, str | None]] = []
        for stream in (at_ada, at_grace):
            answers = [await stream.answer() for _ in range(3)]
            messages = [answer["data"]["messageCreated"]["message"] for answer in answers]
            heard.append({message["content"]: message["idempotencyKey"] for message in messages})
    assert heard[0] == {"of Ada": of_ada, "of Grace": None, "without": None}
    assert heard[1] == {"of Ada": None, "of Grace": of_grace, "without": None}
    assert [await seen_by(ada), await seen_by(grace)] == heard


async def test_names_are_case_insensitive(signs_in: SignIn):
    ada = await signs_in("Ada")
    group = uuid4().hex[:8]
    names = [f"{prefix}{group}" for prefix in ("Zoe", "zed", "ZACK")]
    for name in names:
        assert (await ada.http.post("/auth/dev/login", json={"username": name})).status_code == 200
    ada.http.cookies.clear()
    search = "query ($s: String!, $n: Int! = 5) { searchUsers(search: $s, first: $n) { username } }"

    async def found(text: str, first: int = 20) -> list[str]:
        return [user["username"] for user in (await ada.asks(search, s=text, n=first))["searchUsers"]]

    assert await found(f"zOE{group}") == [names[0]]
    assert await found("") == []
    assert await found("%") == []
    assert ada.username not in await found(ada.username.upper())
    find = "query ($u: String!) { user(username: $u) { username } }"
    assert await ada.asks(find, u=names[1].upper()) == {"user": {"username": names[1]}}
    opened = await ada.asks(CREATE_CONVERSATION, input={"username": ada.username.upper()})
    assert opened["createConversation"]["userErrors"][0]["code"] == "SELF"


async def test_a_profile_keeps_omitted_fields_and_rejects_a_taken_name(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    update = """
        mutation ($input: UpdateProfileInput!) {
            updateProfile(input: $input) { user { username avatarUrl } userErrors { code path } }
        }
    """

    async def changed(**given: Any) -> dict[str, Any]:
        return (await ada.asks(update, input=given))["updateProfile"]

    picture = "https://pictures.example/ada.png"
    assert (await changed(avatarUrl=picture))["user"] == {"username": ada.username, "avatarUrl": picture}
    renamed = ada.username.replace("ada", "Ada-L")
    assert (await changed(username=renamed))["user"] == {"username": renamed, "avatarUrl": picture}
    assert (await changed(avatarUrl=None))["user"] == {"username": renamed, "avatarUrl": None}
    for given, code, field in (
        ({"username": grace.username.upper()}, "TAKEN", "username"),
        ({"username": ""}, "BLANK", "username"),
        ({"username": "x" * 40}, "TOO_LONG", "username"),
        ({"username": "-dash"}, "INVALID", "username"),
        ({"avatarUrl": "http://pictures.example/ada.png"}, "INVALID", "avatarUrl"),
        ({"avatarUrl": "https://x/" + "y" * 2000}, "TOO_LONG", "avatarUrl"),
        ({"username": "fine-by-itself", "avatarUrl": "javascript:alert(1)"}, "INVALID", "avatarUrl"),
    ):
        refused = await changed(**given)
        assert refused == {"user": None, "userErrors": [{"code": code, "path": ["input", field]}]}
    assert await ada.asks("{ viewer { username } }") == {"viewer": {"username": renamed}}


async def test_objects_of_others_are_hidden(signs_in: SignIn):
    ada, grace, eve = await signs_in("ada"), await signs_in("grace"), await signs_in("eve")
    conversation = await ada.opens_conversation_with(grace)
    message = (await ada.sends("for your eyes only", to=conversation))["id"]
    person = (await ada.asks("{ viewer { id } }"))["viewer"]["id"]
    query = """
        query ($ids: [ID!]!, $conversation: ID!) {
            nodes(ids: $ids) { __typename id ... on Message { content } }
            conversation(id: $conversation) { id }
        }
    """
    ids = [message, person, conversation, message, "M", "nonsense", conversation[:-1], "\N{PILE OF POO}"]
    mine = await grace.asks(query, ids=ids, conversation=conversation)
    shown = {"__typename": "Message", "id": message, "content": "for your eyes only"}
    assert mine == {
        "nodes": [
            shown,
            {"__typename": "User", "id": person},
            {"__typename": "Conversation", "id": conversation},
            shown,
            None,
            None,
            None,
            None,
        ],
        "conversation": {"id": conversation},
    }
    theirs = await eve.asks(query, ids=ids, conversation=conversation)
    assert theirs["nodes"][:4] == [None, {"__typename": "User", "id": person}, None, None]
    assert theirs["conversation"] is None
    assert (await eve.tries_to_send("let me in", to=conversation))["userErrors"][0]["code"] == "NOT_FOUND"


async def test_a_request_sees_one_consistent_state(signs_in: SignIn):
    """Different statements read the unread count and the last message, which always agree."""
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    await ada.sends("1", to=conversation)
    query = """
        query ($id: ID!) {
            conversation(id: $id) {
                unreadCount lastMessage { content } messages(last: 1) { edges { node { content } } }
            }
        }
    """

    async def writes() -> None:
        for number in range(2, 80):
            await ada.sends(str(number), to=conversation)

    writing = asyncio.create_task(writes())
    while not writing.done():
        seen = (await grace.asks(query, id=conversation))["conversation"]
        assert seen["lastMessage"]["content"] == str(seen["unreadCount"])
        assert seen["messages"]["edges"][0]["node"]["content"] == str(seen["unreadCount"])
    await writing


async def test_a_conversation_looks_the_same_in_a_list_and_by_itself(signs_in: SignIn, database: Database):
    ada, grace, joan = await signs_in("ada"), await signs_in("grace"), await signs_in("joan")
    pair = await ada.opens_conversation_with(grace)
    group = await ada.opens_conversation_with(joan)
    async with tables(database) as connection:
        await connection.execute(
            text("""
                INSERT INTO participants (conversation_id, user_id)
                SELECT conversations.id, users.id FROM conversations, users
                WHERE users.username = :third AND pair_key LIKE '%' || (
                    SELECT id FROM users WHERE username = :second
                ) || '%'
            """),
            {"third": grace.username, "second": joan.username},
        )
    for room in (pair, group):
        await ada.sends("hello", to=room)
    shown = "id unreadCount otherParticipant { id username } lastMessage { id content createdAt mine }"
    listed = await grace.asks(f"{{ conversations {{ edges {{ node {{ {shown} }} }} }} }}")
    nodes = [edge["node"] for edge in listed["conversations"]["edges"]]
    by_themselves = [
        (await grace.asks(f"query ($id: ID!) {{ conversation(id: $id) {{ {shown} }} }}", id=room))[
            "conversation"
        ]
        for room in (group, pair)
    ]
    assert nodes == by_themselves
    assert [node["otherParticipant"] and node["otherParticipant"]["username"] for node in nodes] == [
        None,
        ada.username,
    ]
