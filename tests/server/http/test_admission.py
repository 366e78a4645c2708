"""A few requests start in each iteration of the event loop, first come, first served."""

import asyncio

import pytest

from server.http.admission import Admission


async def begins(
    admission: Admission, waiting: int, *, gone: frozenset[int] = frozenset()
) -> list[tuple[int, int]]:
    """Queue this many requests and cancel some; return which ones start, and in which iteration."""
    begun: list[tuple[int, int]] = []
    now = 0

    def next_turn() -> None:
        nonlocal now
        now += 1
        if not all(task.done() for task in tasks):
            asyncio.get_running_loop().call_soon(next_turn)

    async def begin(number: int) -> None:
        await admission.wait()
        begun.append((number, now))

    tasks = [asyncio.create_task(begin(number)) for number in range(waiting)]
    next_turn()
    await asyncio.sleep(0)
    for number in gone:
        tasks[number].cancel()
    await asyncio.wait(tasks)
    return begun


@pytest.mark.parametrize("waiting", [1, 4, 5, 50])
async def test_four_requests_start_per_iteration_in_order_of_arrival(waiting: int):
    admission = Admission()
    # The same holds again after a while without waiting requests.
    for _ in range(2):
        begun = await begins(admission, waiting)
        assert [number for number, _ in begun] == list(range(waiting))
        together = [[now for _, now in begun].count(each) for each in dict.fromkeys(now for _, now in begun)]
        assert together[:-1] == [4] * (len(together) - 1)
        assert 1 <= together[-1] <= 4


async def test_cancelled_requests_are_skipped():
    begun = await begins(Admission(), 12, gone=frozenset(range(4, 8)))
    assert [number for number, _ in begun] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert len({now for _, now in begun}) == 2
