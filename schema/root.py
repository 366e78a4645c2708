"""The root types, composed of the fields that each module of the schema contributes."""

import strawberry

from schema.conversations import ConversationMutations, ConversationQueries
from schema.messages import MessageMutations, MessageQueries, MessageSubscriptions
from schema.nodes import NodeQueries
from schema.sessions import SessionMutations, SessionQueries
from schema.users import UserMutations, UserQueries


@strawberry.type(
    description="All reads. The fields of one request are resolved from one consistent snapshot of the"
    " database."
)
class Query(UserQueries, MessageQueries, NodeQueries, ConversationQueries, SessionQueries):
    pass


@strawberry.type(
    description="All writes. Each field runs in its own transaction; the fields of one request run in order."
)
class Mutation(ConversationMutations, MessageMutations, UserMutations, SessionMutations):
    pass


@strawberry.type(description="Live events, delivered over Server-Sent Events (graphql-sse protocol).")
class Subscription(MessageSubscriptions):
    pass
