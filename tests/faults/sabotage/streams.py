"""Streams that end in the wrong way."""

from server.streams.response import ResponseStream


def complete_on_shutdown(number: int) -> None:
    """Send `complete` at shutdown, which tells clients not to reconnect."""
    finish = ResponseStream.finish

    async def complete_and_finish(self: ResponseStream) -> None:
        await self.complete()
        await finish(self)

    ResponseStream.finish = complete_and_finish
