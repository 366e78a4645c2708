"""httpx and httpx-sse: python chat.py [URL] [USERNAME] [RECIPIENT]."""

import asyncio
import json
import random
import re
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import aconnect_sse

MESSAGE = """
    fragment MessageFields on Message { id version content editedAt deletedAt author { username removedAt } }
"""
VIEWER = "{ viewer { username } }"
OPEN_CONVERSATION = """
    mutation ($input: CreateConversationInput!) {
        createConversation(input: $input) { conversation { id } userErrors { code message } }
    }
"""
CONVERSATION = f"""{MESSAGE}
    query ($id: ID!, $before: String) {{
        inboxCursor
        conversation(id: $id) {{
            messages(last: 25, before: $before) {{
                edges {{ node {{ ...MessageFields }} }} pageInfo {{ hasPreviousPage startCursor }}
            }}
        }}
    }}
"""
SEND_MESSAGE = f"""{MESSAGE}
    mutation ($input: CreateMessageInput!) {{
        createMessage(input: $input) {{ message {{ ...MessageFields }} userErrors {{ code message }} }}
    }}
"""
INBOX_EVENTS = f"""{MESSAGE}
    subscription ($after: String) {{
        inboxEvents(after: $after, includeMine: false) {{
            __typename
            ... on MessageCreated {{ message {{ ...MessageFields conversation {{ id }} }} }}
            ... on MessageUpdated {{ message {{ ...MessageFields conversation {{ id }} }} }}
            ... on MessageDeleted {{ message {{ ...MessageFields conversation {{ id }} }} }}
        }}
    }}
"""


class GraphQLErrors(Exception):
    """The errors of an answer. Each has a message, and a code in its extensions."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors


def data_of(answer: dict[str, Any]) -> dict[str, Any]:
    if errors := answer.get("errors"):
        raise GraphQLErrors(errors)
    return answer["data"]


async def execute(client: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """Retry until there is a response. The idempotencyKey makes that safe for messages."""
    while True:
        try:
            response = await client.post("/graphql", json={"query": query, "variables": variables})
            if response.status_code < 500:
                return data_of(response.json())
        except httpx.TransportError:
            pass
        await asyncio.sleep(random.uniform(0, 1))


async def events(client: httpx.AsyncClient, query: str, after: str) -> AsyncIterator[dict[str, Any]]:
    """Yield each event once, resuming from the ID of the last one when the connection is lost."""
    while True:
        request = {"query": query, "variables": {"after": after}}
        try:
            async with aconnect_sse(client, "POST", "/graphql", json=request) as source:
                if source.response.is_client_error:
                    data_of(json.loads(await source.response.aread()))
                async for event in source.aiter_sse():
                    if event.event == "next":
                        yield data_of(json.loads(event.data))
                        after = event.id
        except httpx.TransportError:
            pass
        await asyncio.sleep(random.uniform(0, 1))


# Characters that would control the terminal or reorder its text: control codes and bidirectional overrides.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Escape control characters, and indent continuation lines so that they do not look like messages."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n    ".join(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines)


def show(name: str, content: str, note: str = "") -> None:
    print(printable(f"{name}: {content}{note}"), flush=True)


class Conversation:
    """Prints the messages of a conversation, and prints them again when they have changed."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._versions: dict[str, int] = {}

    def show(self, message: dict[str, Any]) -> None:
        """Print the message unless it has been printed in this version or a later one."""
        if message["version"] <= self._versions.get(message["id"], 0):
            return
        self._versions[message["id"]] = message["version"]
        author = message["author"]
        name = "(removed user)" if author["removedAt"] else author["username"]
        if message["deletedAt"]:
            show(name, "(deleted)")
        else:
            show(name, message["content"], " (edited)" if message["editedAt"] else "")

    def apply(self, event: dict[str, Any]) -> None:
        """Apply an event, which has its message as it is now. Other types of events change nothing here."""
        message = event.get("message")
        if message and message["conversation"]["id"] == self.id:
            self.show(message)


def complain(code: str, message: str) -> None:
    print(printable(f"! {code}: {message}"), flush=True)


async def listen(client: httpx.AsyncClient, conversation: Conversation, after: str) -> None:
    async for event in events(client, INBOX_EVENTS, after):
        conversation.apply(event["inboxEvents"])


async def send_what_is_typed(client: httpx.AsyncClient, conversation: Conversation, username: str) -> None:
    typed = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(typed), sys.stdin)
    while line := await typed.readline():
        content = line.decode().rstrip("\n")
        show(username, content, " (sending)")
        message = {"conversationId": conversation.id, "content": content, "idempotencyKey": str(uuid4())}
        sent = (await execute(client, SEND_MESSAGE, input=message))["createMessage"]
        for error in sent["userErrors"]:
            complain(error["code"], error["message"])
        if sent["message"]:
            conversation.show(sent["message"])


async def main(url: str = "http://localhost:8000", username: str = "john", peer: str = "jane") -> None:
    # Longer than the server's heartbeat interval, so that only a dead connection times out.
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        signed_in = await client.post("/auth/dev/login", json={"username": username})
        client.headers["authorization"] = f"Bearer {signed_in.raise_for_status().json()['token']}"

        viewer = (await execute(client, VIEWER))["viewer"]
        opened = (await execute(client, OPEN_CONVERSATION, input={"username": peer}))["createConversation"]
        for error in opened["userErrors"]:
            complain(error["code"], error["message"])
        if opened["conversation"] is None:
            return
        conversation = Conversation(opened["conversation"]["id"])

        newest = await execute(client, CONVERSATION, id=conversation.id)
        page = newest["conversation"]["messages"]
        history = page["edges"]
        while page["pageInfo"]["hasPreviousPage"]:
            before = page["pageInfo"]["startCursor"]
            answer = await execute(client, CONVERSATION, id=conversation.id, before=before)
            page = answer["conversation"]["messages"]
            history = page["edges"] + history
        for edge in history:
            conversation.show(edge["node"])

        # The cursor was fetched with the newest page, so the subscription neither misses nor repeats any.
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen(client, conversation, newest["inboxCursor"]))
            await send_what_is_typed(client, conversation, viewer["username"])
            listening.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except* GraphQLErrors as group:
        for failure in group.exceptions:
            assert isinstance(failure, GraphQLErrors)
            for error in failure.errors:
                complain(error["extensions"]["code"], error["message"])
