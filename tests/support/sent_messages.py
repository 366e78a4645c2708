"""The messages that the tabs of a browser ask the server to send."""

import json

from playwright.async_api import BrowserContext, Request


def sent_by(context: BrowserContext) -> list[str]:
    """Return a list that receives the text of each message whenever a tab sends it."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if "SendMessage" in (request.post_data or ""):
            sent.append(json.loads(request.post_data or "")["variables"]["input"]["content"])

    context.on("request", note)
    return sent
