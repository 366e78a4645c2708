"""The GraphQL documents that clients send to the messenger and to its peers."""

from collections.abc import Sequence

CREATE_MESSAGE = """
    mutation ($input: CreateMessageInput!) {
        createMessage(input: $input) {
            message { id content createdAt mine }
            userErrors { code message path }
        }
    }
"""
UPDATE_MESSAGE = """
    mutation ($input: UpdateMessageInput!) {
        updateMessage(input: $input) {
            message { id content createdAt version editedAt }
            userErrors { code message path }
        }
    }
"""
DELETE_MESSAGE = """
    mutation ($input: DeleteMessageInput!) {
        deleteMessage(input: $input) {
            message { id content createdAt version deletedAt }
            userErrors { code message path }
        }
    }
"""
UPDATE_PROFILE = """
    mutation ($input: UpdateProfileInput!) {
        updateProfile(input: $input) {
            user { id username avatarUrl }
            userErrors { code message path }
        }
    }
"""
READ_MESSAGES = """
    mutation ($input: ReadMessagesInput!) {
        readMessages(input: $input) {
            conversation { id unreadCount lastMessage { id createdAt } }
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
MESSAGES = """
    query ($id: ID!, $last: Int!) {
        conversation(id: $id) {
            id unreadCount
            messages(last: $last) {
                edges {
                    cursor
                    node { id content createdAt mine author { id username avatarUrl } }
                }
                pageInfo { hasPreviousPage startCursor }
            }
        }
    }
"""
# The published event contains everything that this document asks for; the next one also needs the database.
MESSAGE_CREATED = "subscription { messageCreated { cursor message { id content createdAt mine } } }"
MESSAGE_WITH_UNREAD = """
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
INBOX_EVENTS = """
    subscription {
        inboxEvents {
            __typename
            cursor
            ... on MessageCreated { message { id content createdAt mine } }
            ... on MessageUpdated { message { id content createdAt version editedAt } }
        }
    }
"""

ALL: Sequence[str] = (
    CREATE_MESSAGE,
    UPDATE_MESSAGE,
    DELETE_MESSAGE,
    UPDATE_PROFILE,
    READ_MESSAGES,
    CONVERSATIONS,
    MESSAGES,
    MESSAGE_CREATED,
    MESSAGE_WITH_UNREAD,
    INBOX_EVENTS,
)
