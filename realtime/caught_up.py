"""Reporting to clients how far their inbox has been read, although nothing in it was for them."""

import asyncio
from time import monotonic

from realtime.sharing import SharedEvents

_SLICE_SECONDS = 0.001


async def keep_reporting(shared: SharedEvents, every_seconds: float = 5) -> None:
    """Send the streams of waiting runs the cursor that they have reached, every `every_seconds`, without end.

    Only runs whose inbox has moved past entries that were not asked for have something to report.
    """
    while True:
        await asyncio.sleep(every_seconds)
        turn_ends = monotonic() + _SLICE_SECONDS
        for run in list(shared.runs.values()):
            run.report_place()
            if monotonic() > turn_ends:
                # Others have their turn.
                await asyncio.sleep(0)
                turn_ends = monotonic() + _SLICE_SECONDS
