"""The messages that the tabs of a browser ask the server to send, and those that it has stored."""

import json

from playwright.async_api import BrowserContext, Request

from tests.support.web_client import Pair

_CONTENTS = """
    query ($id: ID!) { conversation(id: $id) { messages(last: 100) { edges { node { content } } } } }
"""


def sent_by(context: BrowserContext) -> list[str]:
    """Return a list that receives the text of each message that a tab has sent and got an answer for."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if "SendMessage" in (request.post_data or ""):
            sent.append(json.loads(request.post_data or "")["variables"]["input"]["content"])

    # A request that fails, because the network is off, is repeated.
    context.on("requestfinished", note)
    return sent


async def stored_in(pair: Pair) -> list[str]:
    """Return the texts of the messages that the server has stored in the conversation."""
    answer = await pair.grace.asks(_CONTENTS, id=pair.conversation)
    return [edge["node"]["content"] for edge in answer["conversation"]["messages"]["edges"]]
