"""Streams that end wrongly."""

from server.streams.response import ResponseStream


def complete_on_shutdown(number: int) -> None:
    """Say `complete` when the server stops, which a client takes as final."""
    finish = ResponseStream.finish

    async def complete_and_finish(self: ResponseStream) -> None:
        await self.complete()
        await finish(self)

    ResponseStream.finish = complete_and_finish
