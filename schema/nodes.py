"""Fetching objects of any type by their IDs."""

from collections.abc import Sequence
from typing import Annotated

import strawberry

from resolvers import conversations, messages, sessions, users
from resolvers.paging import check_page_size
from schema.conversations import Conversation
from schema.info import Info
from schema.look_ahead import conversation_includes, message_includes
from schema.messages import Message
from schema.node import Node, NodeType
from schema.sessions import Session
from schema.users import User


@strawberry.type
class NodeQueries:
    @strawberry.field(
        description="The object with this ID, or null if it does not exist or the viewer cannot see it."
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="ID of the object.")]
    ) -> Node | None:
        return (await _nodes(info, [id]))[0]

    @strawberry.field(
        description="The objects with these IDs, in the same order, with null for each that does not exist or"
        " that the viewer cannot see."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="1 to 100 IDs.")],
    ) -> list[Node | None]:
        check_page_size(len(ids), "ids")
        return await _nodes(info, ids)


async def _nodes(info: Info, ids: Sequence[str]) -> list[Node | None]:
    """Return the node or None for each ID, with one statement for each type among them."""
    context = info.context
    keys = {node_type: {key for i in ids if (key := node_type.decode(i))} for node_type in NodeType}
    found: list[Node] = [
        *map(User.of, await users.by_ids(context, keys[NodeType.USER])),
        *map(
            Conversation.of,
            await conversations.by_ids(context, keys[NodeType.CONVERSATION], conversation_includes(info)),
        ),
        *map(Message.of, await messages.by_ids(context, keys[NodeType.MESSAGE], message_includes(info))),
        *map(Session.of, await sessions.by_ids(context, keys[NodeType.SESSION])),
    ]
    by_id = {node.id: node for node in found}
    return [by_id.get(strawberry.ID(i)) for i in ids]
