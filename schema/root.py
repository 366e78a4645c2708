"""The root types, composed of the fields that each module of the schema contributes."""

import strawberry

from schema.conversations import ConversationMutations, ConversationQueries
from schema.edits import EditMutations
from schema.inbox import InboxQueries, InboxSubscriptions
from schema.messages import MessageMutations, MessageQueries, MessageSubscriptions
from schema.nodes import NodeQueries
from schema.server_info import ServerInfoQueries
from schema.sessions import SessionMutations, SessionQueries
from schema.users import UserMutations, UserQueries


@strawberry.type(
    description="All reads. The fields of a request are read from one consistent snapshot of the database. If"
    " the request has no valid token, all fields except `viewer` and `serverInfo` fail with"
    " `UNAUTHENTICATED`."
)
class Query(
    UserQueries,
    MessageQueries,
    NodeQueries,
    ConversationQueries,
    SessionQueries,
    InboxQueries,
    ServerInfoQueries,
):
    pass


@strawberry.type(
    description="All writes. The fields of a request are executed in order, each in its own transaction."
    " All of them can be repeated safely; for `createMessage`, this requires an `idempotencyKey`."
)
class Mutation(ConversationMutations, MessageMutations, EditMutations, UserMutations, SessionMutations):
    pass


@strawberry.type(description="Live events, delivered over Server-Sent Events (graphql-sse protocol).")
class Subscription(MessageSubscriptions, InboxSubscriptions):
    pass
