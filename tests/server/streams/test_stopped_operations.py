"""Operations of a reserved stream that are stopped."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from execution.budgets import UNLIMITED
from realtime.sharing import SharedEvents
from server.streams.reserved import ReservedOperation


async def test_a_stopped_operation_is_handed_no_further_events():
    written: list[bytes] = []

    def write_at_once(chunk: bytes) -> bool:
        written.append(chunk)
        return True

    def operation() -> ReservedOperation:
        return ReservedOperation(
            "one",
            cast(Any, SimpleNamespace(api=SimpleNamespace(live_operation=str))),
            cast(Any, SimpleNamespace(user=None)),
            cast(Any, "operation"),
            cast(Any, SimpleNamespace(write_at_once=write_at_once)),
            write=cast(Any, None),
            budget=UNLIMITED,
            shared=SharedEvents(),
        )

    made: asyncio.Queue[ReservedOperation] = asyncio.Queue()

    async def run() -> None:
        made.put_nowait(operation())
        await asyncio.Event().wait()

    task = asyncio.create_task(run())
    running = await made.get()
    assert running.write_at_once(b"{}")
    assert len(written) == 1
    # `complete` follows immediately, before the task has noticed.
    task.cancel()
    assert not running.write_at_once(b"{}")
    assert len(written) == 1
    await asyncio.wait([task])
