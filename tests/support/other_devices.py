"""What users do on devices without a browser: they edit, delete and read messages over HTTP."""

from tests.support.people import Person

_UPDATE = """
    mutation ($input: UpdateMessageInput!) {
        updateMessage(input: $input) { message { version } userErrors { code } }
    }
"""
_DELETE = """
    mutation ($input: DeleteMessageInput!) {
        deleteMessage(input: $input) { message { deletedAt } userErrors { code } }
    }
"""
_READ = """
    mutation ($input: ReadMessagesInput!) {
        readMessages(input: $input) { conversation { unreadCount } userErrors { code } }
    }
"""


async def edits(person: Person, message_id: str, content: str) -> None:
    given = {"messageId": message_id, "content": content}
    payload = (await person.asks(_UPDATE, input=given))["updateMessage"]
    assert payload["userErrors"] == [], payload


async def deletes(person: Person, message_id: str) -> None:
    payload = (await person.asks(_DELETE, input={"messageId": message_id}))["deleteMessage"]
    assert payload["userErrors"] == [], payload


async def reads(person: Person, conversation: str) -> None:
    """Mark the whole conversation as read."""
    payload = (await person.asks(_READ, input={"conversationId": conversation}))["readMessages"]
    assert payload["userErrors"] == [], payload
