"""The messages that the tabs of a browser ask the server to send."""

import json

from playwright.async_api import BrowserContext, Request


def sent_by(context: BrowserContext) -> list[str]:
    """Return a list that receives the text of each message that a tab has sent and got an answer for."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if "SendMessage" in (request.post_data or ""):
            sent.append(json.loads(request.post_data or "")["variables"]["input"]["content"])

    # A request that fails, because the network is off, is repeated.
    context.on("requestfinished", note)
    return sent
