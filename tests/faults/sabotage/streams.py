"""Streams that end wrongly."""

from server.event_stream import SseStream
from tests.faults.sabotage.registry import sabotage


@sabotage
def complete_on_shutdown() -> None:
    """Say `complete` when the server stops, which a client takes as final."""
    finish = SseStream.finish

    async def complete_and_finish(self: SseStream) -> None:
        await self.complete()
        await finish(self)

    SseStream.finish = complete_and_finish
