"""The root types, put together from what each noun brings."""

import strawberry

from schema.conversations import ConversationMutations, ConversationQueries
from schema.messages import MessageMutations, MessageQueries, MessageSubscriptions
from schema.nodes import NodeQueries
from schema.sessions import SessionMutations, SessionQueries
from schema.users import UserMutations, UserQueries


@strawberry.type(
    description="What can be read. Everything in one request comes from one consistent state of the database."
)
class Query(UserQueries, MessageQueries, NodeQueries, ConversationQueries, SessionQueries):
    """The root of queries."""


@strawberry.type(
    description="What can be changed. Each field is one transaction; several in one request run in order."
)
class Mutation(ConversationMutations, MessageMutations, UserMutations, SessionMutations):
    """The root of mutations."""


@strawberry.type(description="What can be heard live, over Server-Sent Events by the graphql-sse protocol.")
class Subscription(MessageSubscriptions):
    """The root of subscriptions."""
