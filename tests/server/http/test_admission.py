"""A few requests begin in each turn of the event loop, first come, first served."""

import asyncio

import pytest

from server.http.admission import Admission


async def begins(
    admission: Admission, waiting: int, *, gone: frozenset[int] = frozenset()
) -> list[tuple[int, int]]:
    """Have so many wait, and some of them go; return who begins and in which turn of the event loop."""
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
async def test_four_begin_in_a_turn_in_the_order_in_which_they_came(waiting: int):
    admission = Admission()
    # And so it is again when nobody has waited for a while.
    for _ in range(2):
        begun = await begins(admission, waiting)
        assert [number for number, _ in begun] == list(range(waiting))
        together = [[now for _, now in begun].count(each) for each in dict.fromkeys(now for _, now in begun)]
        assert together[:-1] == [4] * (len(together) - 1)
        assert 1 <= together[-1] <= 4


async def test_who_has_gone_takes_no_turn():
    begun = await begins(Admission(), 12, gone=frozenset(range(4, 8)))
    assert [number for number, _ in begun] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert len({now for _, now in begun}) == 2
