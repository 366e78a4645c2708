"""The messenger as a subject: its process, and the requests that its clients send."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.http import Address, request
from bench.population import Pair, Person
from bench.processes import running
from schema.node import NodeType

MESSAGE_CREATED = """
    subscription {
        messageCreated {
            cursor
            message {
                id content createdAt mine
                author { id username avatarUrl }
                conversation { id unreadCount }
            }
        }
    }
"""
# Of this, everything is in the hint that wakes the stream; for the rest of the above the database is read.
MESSAGE_ALONE = "subscription { messageCreated { cursor message { id content createdAt mine } } }"
CREATE_MESSAGE = """
    mutation ($input: CreateMessageInput!) {
        createMessage(input: $input) {
            message { id content createdAt mine }
            userErrors { code message path }
        }
    }
"""
CONVERSATIONS = """
    query ($first: Int!) {
        conversations(first: $first) {
            edges {
                cursor
                node {
                    id unreadCount
                    otherParticipant { id username avatarUrl }
                    lastMessage { id content createdAt mine }
                }
            }
            pageInfo { hasNextPage endCursor }
        }
    }
"""

# What stands in their answers when all is well.
MESSAGE_STORED = b'"userErrors":[]'
PAGE_READ = b'"hasNextPage":true'


class DidNotStart(Exception):
    """The server did not start; the message is its log."""


@contextmanager
def serving(folder: Path, database_url: str, cores: frozenset[int] | None) -> Generator[tuple[int, Address]]:
    """Run `messenger serve` on a free port, with its default settings but for the database.

    Yields its process id and address.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
    environment |= {
        "MESSENGER_PORT": "0",
        "MESSENGER_DATABASE_URL": database_url,
        "MESSENGER_RATE_LIMITS": "off",
    }
    command = [str(Path(sys.executable).parent / "messenger"), "serve"]
    log_path = folder / "server.log"
    with (
        log_path.open("wb") as log_file,
        running(command, cores, stderr=log_file, environment=environment, folder=folder) as process,
    ):
        yield process.pid, _address(process, log_path)


def _address(process: subprocess.Popen[bytes], log_path: Path) -> Address:
    """Wait for the line of the log that says where the server is."""
    end = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < end:
        for line in log_path.read_text().splitlines(keepends=True):
            if '"event": "serving"' in line and line.endswith("\n"):
                url: str = json.loads(line)["listening"]
                host, _, port = url.removeprefix("http://").rpartition(":")
                return host, int(port)
        time.sleep(0.02)
    raise DidNotStart(log_path.read_text())


def create_message(pair: Pair, content: str) -> bytes:
    """Have one of the pair write to the other."""
    given = {"conversationId": NodeType.CONVERSATION.encode(pair.conversation_id), "content": content}
    return _post(pair.one, CREATE_MESSAGE, {"input": given})


def page_of_conversations(person: Person, size: int) -> bytes:
    """Ask for somebody's most recent conversations."""
    return _post(person, CONVERSATIONS, {"first": size})


def subscribe(person: Person, document: str) -> bytes:
    """Open a stream of somebody's messages."""
    return _post(person, document, {}, accept="text/event-stream")


def event_like(pair: Pair, content: str) -> object:
    """Return what an event of MESSAGE_CREATED carries, in its shape and size."""
    author = {"id": NodeType.USER.encode(pair.one.user_id), "username": "one-0", "avatarUrl": None}
    conversation = {"id": NodeType.CONVERSATION.encode(pair.conversation_id), "unreadCount": 1}
    message = {
        "id": NodeType.MESSAGE.encode(pair.conversation_id),
        "content": content,
        "createdAt": "2026-11-24T12:00:00.000Z",
        "mine": False,
        "author": author,
        "conversation": conversation,
    }
    return {"data": {"messageCreated": {"cursor": "A" * 44, "message": message}}}


def _post(
    person: Person, document: str, variables: dict[str, object], accept: str = "application/json"
) -> bytes:
    headers = {"authorization": f"Bearer {person.token}", "accept": accept}
    return request("POST", "/graphql", headers, {"query": document, "variables": variables})
