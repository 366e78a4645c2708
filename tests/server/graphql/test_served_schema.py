"""The schema that clients can query matches the contract."""

import httpx
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_client_schema,
    build_schema,
    get_introspection_query,
)

from tests.server.graphql.asking import executed, posts

CONTRACT = """
    scalar DateTime
    interface Node { id: ID! }
    type User implements Node { id: ID! username: String! avatarUrl: String }
    type Conversation implements Node {
        id: ID! participants: [User!]! otherParticipant: User lastMessage: Message unreadCount: Int!
        hasUnreadMessages: Boolean!
        messages(first: Int, after: String, last: Int, before: String): MessageConnection!
    }
    type Message implements Node {
        id: ID! content: String! createdAt: DateTime! author: User! mine: Boolean! readByOthers: Boolean!
        idempotencyKey: ID
        conversation: Conversation!
    }
    type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
    type ConversationConnection { edges: [ConversationEdge!]! pageInfo: PageInfo! }
    type ConversationEdge { cursor: String! node: Conversation! }
    type MessageConnection { edges: [MessageEdge!]! pageInfo: PageInfo! }
    type MessageEdge { cursor: String! node: Message! }
    type Query {
        viewer: User inboxCursor: String! node(id: ID!): Node nodes(ids: [ID!]!): [Node]!
        user(username: String!): User searchUsers(search: String!, first: Int! = 5): [User!]!
        conversation(id: ID!): Conversation
        conversations(first: Int! = 25, after: String): ConversationConnection!
    }
    type Mutation {
        createConversation(input: CreateConversationInput!): CreateConversationPayload!
        createMessage(input: CreateMessageInput!): CreateMessagePayload!
        readMessages(input: ReadMessagesInput!): ReadMessagesPayload!
        updateProfile(input: UpdateProfileInput!): UpdateProfilePayload!
    }
    input CreateConversationInput { username: String! }
    type CreateConversationPayload { conversation: Conversation created: Boolean! userErrors: [UserError!]! }
    input CreateMessageInput { conversationId: ID! content: String! idempotencyKey: ID }
    type CreateMessagePayload { message: Message userErrors: [UserError!]! }
    input ReadMessagesInput { conversationId: ID! upToMessageId: ID }
    type ReadMessagesPayload { conversation: Conversation userErrors: [UserError!]! }
    input UpdateProfileInput { username: String avatarUrl: String }
    type UpdateProfilePayload { user: User userErrors: [UserError!]! }
    type UserError { code: UserErrorCode! message: String! path: [String!]! }
    enum UserErrorCode { BLANK TOO_LONG INVALID NOT_FOUND TAKEN SELF }
    type Subscription { messageCreated(after: String, includeMine: Boolean! = false): MessageCreated! }
    type MessageCreated { cursor: String! message: Message! }
"""


async def test_the_schema_matches_the_contract(http: httpx.AsyncClient):
    """Names, arguments and nullability, as introspection shows them."""
    answer = await posts(http, {"query": get_introspection_query(input_value_deprecation=True)})
    served = build_client_schema(executed(answer))
    for name, expected in build_schema(CONTRACT).type_map.items():
        actual = served.type_map[name]
        assert type(actual) is type(expected), name
        assert lines_of(expected) <= lines_of(actual), name


def lines_of(named_type: GraphQLNamedType) -> set[str]:
    """Return the members of a type, with everything that clients rely on."""
    if isinstance(named_type, GraphQLEnumType):
        return set(named_type.values)
    if isinstance(named_type, GraphQLInputObjectType):
        return {f"{name}: {field.type}" for name, field in named_type.fields.items()}
    lines: set[str] = set()
    if isinstance(named_type, (GraphQLObjectType, GraphQLInterfaceType)):
        lines |= {f"implements {interface.name}" for interface in named_type.interfaces}
        for name, field in named_type.fields.items():
            lines.add(f"{name}: {field.type}")
            lines |= {f"{name}({each}: {argument.type})" for each, argument in field.args.items()}
    return lines
