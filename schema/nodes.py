"""Fetching anything again by its id."""

from collections.abc import Sequence
from typing import Annotated

import strawberry

from resolvers import conversations, messages, sessions, users
from resolvers.paging import check_page_size
from schema.conversations import Conversation
from schema.info import Info
from schema.messages import Message
from schema.node import Node, NodeType
from schema.sessions import Session
from schema.users import User


@strawberry.type
class NodeQueries:
    """The part of Query that is about nodes of any type."""

    @strawberry.field(description="The object of that id; null when absent or not the viewer's to see.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Node | None:
        """Resolve the field."""
        return (await _nodes(info, [id]))[0]

    @strawberry.field(
        description="The objects of those ids, in the same order; null for each that is absent or not the"
        " viewer's to see."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="1 to 100 ids.")],
    ) -> list[Node | None]:
        """Resolve the field."""
        check_page_size(len(ids), "ids")
        return await _nodes(info, ids)


async def _nodes(info: Info, ids: Sequence[str]) -> list[Node | None]:
    """Find each: one statement for each type that is asked for."""
    context = info.context
    keys = {node_type: {key for i in ids if (key := node_type.decode(i))} for node_type in NodeType}
    found: list[Node] = [
        *map(User.of, await users.by_ids(context, keys[NodeType.USER])),
        *map(Conversation.of, await conversations.by_ids(context, keys[NodeType.CONVERSATION])),
        *map(Message.of, await messages.by_ids(context, keys[NodeType.MESSAGE])),
        *map(Session.of, await sessions.by_ids(context, keys[NodeType.SESSION])),
    ]
    by_id = {node.id: node for node in found}
    return [by_id.get(strawberry.ID(i)) for i in ids]
