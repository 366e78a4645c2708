"""Sending messages as fast as possible."""

from uuid import UUID

import httpx

from schema.node import NodeType
from tests.faults.figures.people import Someone
from tests.support.people import CREATE_MESSAGE


async def send(http: httpx.AsyncClient, author: Someone, conversation_id: UUID, content: str) -> None:
    """Send one message."""
    given = {"conversationId": NodeType.CONVERSATION.encode(conversation_id), "content": content}
    response = await http.post(
        "/graphql",
        json={"query": CREATE_MESSAGE, "variables": {"input": given}},
        headers={"authorization": f"Bearer {author.token}"},
    )
    assert response.json()["data"]["createMessage"]["userErrors"] == [], response.text
