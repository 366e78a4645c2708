"""The documents of a client that shows everything, generated from the schema.

A new field of a type that is shown becomes part of what is compared, without a change here. One that has
fields of its own fails when this module is imported, until it is decided how to select it.
"""

from graphql import GraphQLObjectType, build_schema, get_named_type, is_leaf_type

from tests.support.checkout import ROOT

SCHEMA = build_schema((ROOT / "graphql" / "schema.graphql").read_text())

_BELOW = {
    "Message.author": "{ ...UserFields }",
    "Message.readBy": "{ ...UserFields }",
    "Message.conversation": "{ id }",
    "Conversation.participants": "{ ...UserFields }",
    "Conversation.otherParticipant": "{ ...UserFields }",
    "Conversation.lastMessage": "{ ...MessageFields }",
}
# Selected where messages are shown, with a page size.
_PAGED = {"Conversation.messages"}


def _fields(type_name: str) -> str:
    """Return the selection of all fields of a type."""
    found = SCHEMA.type_map[type_name]
    assert isinstance(found, GraphQLObjectType)
    selected: list[str] = []
    for name, field in found.fields.items():
        path = f"{type_name}.{name}"
        if path in _PAGED:
            continue
        if is_leaf_type(get_named_type(field.type)):
            selected.append(name)
        elif path in _BELOW:
            selected.append(f"{name} {_BELOW[path]}")
        else:
            raise AssertionError(f"decide in {__name__} how {path} is selected and compared")
    return " ".join(selected)


USER_FIELDS = f"fragment UserFields on User {{ {_fields('User')} }}"
MESSAGE_FIELDS = f"fragment MessageFields on Message {{ {_fields('Message')} }}"
CONVERSATION_FIELDS = f"fragment ConversationFields on Conversation {{ {_fields('Conversation')} }}"
_FRAGMENTS = f"{USER_FIELDS} {MESSAGE_FIELDS} {CONVERSATION_FIELDS}"
_WITH_MESSAGES = """
    ...ConversationFields
    messages(last: $last) { edges { node { ...MessageFields } } }
"""

SNAPSHOT = f"""
    query ($first: Int!, $last: Int!) {{
        viewer {{ ...UserFields }}
        inboxCursor
        unread {{ {_fields("UnreadTotals")} }}
        conversations(first: $first) {{ edges {{ node {{ {_WITH_MESSAGES} }} }} pageInfo {{ hasNextPage }} }}
    }}
    {_FRAGMENTS}
"""
CONVERSATION = (
    f"query ($id: ID!, $last: Int!) {{ conversation(id: $id) {{ {_WITH_MESSAGES} }} }} {_FRAGMENTS}"
)

# What docs/clients.md and graphql/operations tell a frontend to select.
_COUNTS = "id unreadCount hasUnreadMessages"
_EVENT = f"""
    __typename cursor occurredAt
    ... on MessageCreated {{ message {{ ...MessageFields conversation {{ ...ConversationFields }} }} }}
    ... on MessageUpdated {{ message {{ ...MessageFields }} }}
    ... on MessageDeleted {{ message {{ ...MessageFields conversation {{ {_COUNTS} }} }} }}
    ... on ReadMarkMoved {{
        conversation {{ {_COUNTS} }}
        participant {{ user {{ ...UserFields }} lastReadMessage {{ id createdAt }} }}
    }}
    ... on UserUpdated {{ user {{ ...UserFields }} }}
"""
EVENTS = f"subscription ($after: String) {{ inboxEvents(after: $after) {{ {_EVENT} }} }} {_FRAGMENTS}"
PAGE = f"""
    query ($after: String!, $first: Int!) {{
        inboxEvents(after: $after, first: $first) {{ cursor hasMore events {{ {_EVENT} }} }}
    }}
    {_FRAGMENTS}
"""
