"""A conversation with a message whose author edits and deletes it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from db import users
from db.engine import Database
from db.records import User
from db.tables import inbox_entries, messages
from schema.node import NodeType
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


def error_of(payload: dict[str, Any]) -> tuple[str, str]:
    """Return the code of the only error, and the field of the input that it is about."""
    [error] = payload["userErrors"]
    assert error["path"][0] == "input"
    return error["code"], error["path"][1]
