"""The contract for its users: code generators, trusted documents, and released clients."""

import importlib
import json
import re
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from graphql import (
    OperationDefinitionNode,
    build_schema,
    concat_ast,
    find_breaking_changes,
    parse,
    validate,
)

from execution.api import Api
from tests.conftest import SignIn
from tests.support.checkout import ROOT, require
from tests.support.clients import http_client
from tests.support.frontends import ARIADNE, GRAPHQL, OPERATIONS, run
from tests.support.people import Person
from tests.support.proxy import proxy_before
from tests.support.serving import Server

SCHEMA = build_schema(Api().sdl())
DOCS = ROOT / "docs"


def breaking_changes(released: str, current: str) -> list[str]:
    return [
        change.description for change in find_breaking_changes(build_schema(released), build_schema(current))
    ]


def test_the_schema_is_compatible_with_clients_of_the_released_one():
    found = breaking_changes((GRAPHQL / "released.graphql").read_text(), Api().sdl())
    assert found == [], (
        "These changes break released clients. Add a new field and deprecate the old one. To break those"
        " clients on purpose, say so in CHANGELOG.md and copy schema.graphql to released.graphql."
    )


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("avatarUrl: String", "picture: String", "Field User.avatarUrl was removed."),
        (
            "  unreadCount: Int!",
            "  unreadCount: Int",
            "Field Conversation.unreadCount changed type from Int! to Int.",
        ),
        ("TAKEN", "IN_USE", "Enum value UserErrorCode.TAKEN was removed."),
        (
            "    search: String!",
            "    search: String!\n    language: String!",
            "A required argument Query.searchUsers(language:) was added.",
        ),
    ],
)
def test_a_breaking_change_is_reported(before: str, after: str, named: str):
    assert named in breaking_changes(Api().sdl(), Api().sdl().replace(before, after))


def test_additions_break_no_client():
    changed = Api().sdl().replace("  unreadCount: Int!", "  unreadCount: Int!\n  title: String")
    assert breaking_changes(Api().sdl(), changed) == []


def test_the_operations_are_valid():
    document = concat_ast([parse(path.read_text()) for path in OPERATIONS])
    assert validate(SCHEMA, document) == []


def test_trusted_documents_are_valid_and_named_by_their_hash(generated: Path):
    manifest: dict[str, str] = json.loads((generated / "persisted-documents.json").read_text())
    for name, text in manifest.items():
        assert name == f"sha256:{sha256(text.encode()).hexdigest()}"
        assert validate(SCHEMA, parse(text)) == []
    trusted = {name for text in manifest.values() for name in operation_names(text)}
    assert trusted == {name for path in OPERATIONS for name in operation_names(path.read_text())}


def operation_names(text: str) -> list[str]:
    operations = [node for node in parse(text).definitions if isinstance(node, OperationDefinitionNode)]
    return [operation.name.value for operation in operations if operation.name]


async def test_operations_and_examples_compile_in_strict_mode(generated: Path):
    await run("node_modules/.bin/tsc")


async def test_the_resuming_client_behaves_as_documented():
    await run("npm", "test")


@pytest.fixture(scope="module")
async def messenger(generated: Path) -> Any:
    """Generate the Python client and import it."""
    (generated / "python").mkdir(exist_ok=True)
    require(ARIADNE)
    await run(str(ARIADNE), "--config", "ariadne.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(generated / "python"), *sys.path])
        return importlib.import_module("messenger_client")


async def test_the_generated_python_client_works(server: Server, signs_in: SignIn, messenger: Any):
    """Operations called as typed methods; the subscription runs over a connection that breaks."""
    ada, grace = await signs_in("ada"), await signs_in("grace")

    async with proxy_before(server.port) as proxy, client_of(ada, proxy.url, messenger) as its:
        inbox = await its.inbox(first=25)
        assert (inbox.viewer.username, inbox.conversations.edges) == (ada.username, [])
        [found] = (await its.search_users(search=grace.username.upper(), first=5)).search_users
        opened = await its.open_conversation(messenger.CreateConversationInput(username=found.username))
        conversation_id = opened.create_conversation.conversation.id
        blank = messenger.CreateMessageInput(conversation_id=conversation_id, content=" ")
        [error] = (await its.send_message(blank)).create_message.user_errors
        assert (error.code, error.path) == (messenger.UserErrorCode.BLANK, ["input", "content"])

        hello = messenger.CreateMessageInput(
            conversation_id=conversation_id, content="hello", idempotency_key=str(uuid4())
        )
        sent = [(await its.send_message(hello)).create_message.message for _ in range(2)]
        assert sent[0].id == sent[1].id
        events = its.message_created(after=inbox.inbox_cursor, include_mine=True)
        assert (await anext(events)).message_created.message.created_at == sent[0].created_at
        proxy.cut_within(b"broken off")
        for content in ["broken off", "and after"]:
            await grace.sends(content, to=conversation_id)
            assert (await anext(events)).message_created.message.content == content
        await events.aclose()

        page = (await its.conversation(id=conversation_id, last=2)).conversation
        assert [edge.node.content for edge in page.messages.edges] == ["broken off", "and after"]
        assert (page.unread_count, page.messages.page_info.has_previous_page) == (2, True)
        read = await its.read_messages(messenger.ReadMessagesInput(conversation_id=conversation_id))
        assert read.read_messages.conversation.unread_count == 0
        [edge] = (await its.inbox(first=25)).conversations.edges
        assert edge.node.last_message.content == "and after"

        picture = "https://example.com/ada.png"
        await its.update_profile(messenger.UpdateProfileInput(avatar_url=picture))
        # An omitted field is not sent, so the picture stays.
        await its.update_profile(messenger.UpdateProfileInput(username=f"{ada.username}-2"))
        viewer = (await its.viewer()).viewer
        assert (viewer.username, viewer.avatar_url) == (f"{ada.username}-2", picture)

        with pytest.raises(messenger.sse_client.GraphQLErrors, match="first") as refused:
            await its.more_conversations(first=0, after=inbox.conversations.page_info.end_cursor or "MQ==")
        assert refused.value.errors[0]["extensions"]["code"] == "BAD_USER_INPUT"
        with pytest.raises(messenger.sse_client.GraphQLErrors) as refused:
            await anext(its.message_created(after="made up", include_mine=False))
        assert refused.value.errors[0]["extensions"]["code"] == "CURSOR_INVALID"


async def test_the_generated_python_client_follows_every_kind_of_event(
    server: Server, signs_in: SignIn, messenger: Any
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation_id = await grace.opens_conversation_with(ada)
    async with proxy_before(server.port) as proxy, client_of(ada, proxy.url, messenger) as its:
        inbox = await its.inbox(first=25)
        hello = messenger.CreateMessageInput(conversation_id=conversation_id, content="hello")
        sent = (await its.send_message(hello)).create_message.message
        events = its.inbox_events(after=inbox.inbox_cursor, include_mine=True)
        assert (await next_event(events, "MessageCreated")).message.id == sent.id

        edit = messenger.UpdateMessageInput(message_id=sent.id, content="hello again", expected_version=1)
        proxy.cut_within(b'"MessageUpdated"')
        edited = (await its.update_message(edit)).update_message.message
        assert (edited.content, edited.version, edited.viewer_can_edit) == ("hello again", 2, True)
        shown = (await next_event(events, "MessageUpdated")).message
        assert (shown.content, shown.version, shown.edited_at) == ("hello again", 2, edited.edited_at)

        deletion = messenger.DeleteMessageInput(message_id=sent.id)
        deleted = (await its.delete_message(deletion)).delete_message.message
        assert (deleted.content, deleted.version) == ("", 3)
        assert (await next_event(events, "MessageDeleted")).message.deleted_at == deleted.deleted_at

        await grace.sends("hello", to=conversation_id)
        await next_event(events, "MessageCreated")
        unread = (await its.unread()).unread
        assert (unread.conversations, unread.messages) == (1, 1)
        await its.read_messages(messenger.ReadMessagesInput(conversation_id=conversation_id))
        moved = await next_event(events, "ReadMarkMoved")
        assert (moved.conversation.unread_count, moved.participant.user.id) == (0, inbox.viewer.id)

        picture = "https://example.com/ada.png"
        await its.update_profile(messenger.UpdateProfileInput(avatar_url=picture))
        assert (await next_event(events, "UserUpdated")).user.avatar_url == picture
        await events.aclose()


async def test_the_generated_python_client_fetches_an_invalid_cursor_again_once(
    server: Server, signs_in: SignIn, messenger: Any
):
    ada = await signs_in("ada")
    async with client_of(ada, server.url, messenger) as its:
        cursors = iter([(await its.inbox(first=25)).inbox_cursor, "made up"])

        async def refetch() -> str:
            return next(cursors)

        events = its.inbox_events(after="made up", include_mine=True, refetch=refetch)
        assert (await anext(events)).inbox_events.typename__ == "CaughtUp"
        await events.aclose()
        with pytest.raises(messenger.sse_client.GraphQLErrors) as refused:
            await anext(its.inbox_events(after="made up", include_mine=True, refetch=refetch))
        assert refused.value.has_code("CURSOR_INVALID")
        assert next(cursors, None) is None


async def next_event(events: AsyncIterator[Any], typename: str) -> Any:
    """Return the next event, which must have this type, or the one after CaughtUp."""
    event = (await anext(events)).inbox_events
    if event.typename__ == "CaughtUp":
        event = (await anext(events)).inbox_events
    assert event.typename__ == typename
    return event


def client_of(person: Person, url: str, messenger: Any) -> Any:
    return messenger.Client(http_client(url, headers=person.headers))


def test_the_guide_matches_the_examples():
    files = [*GRAPHQL.glob("examples/*.ts"), *GRAPHQL.glob("examples/*/*.*"), *GRAPHQL.glob("client/*")]
    sources = [path.read_text() for path in files if path.is_file()]
    excerpts: list[str] = re.findall(r"```(?:ts|py)\n(.*?)```", (DOCS / "clients.md").read_text(), re.DOTALL)
    assert excerpts
    for excerpt in excerpts:
        assert any(excerpt in source for source in sources), excerpt


async def test_every_audit_of_graphql_over_http_passes(server: Server):
    """Including the audits for what a server should do."""
    output = await run("node", "--import", "tsx", "audit.ts", f"{server.url}/graphql")
    assert output.splitlines()[-1] == "61 of 61 audits passed"
