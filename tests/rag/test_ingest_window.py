"""The window between parsers and embedder: bounded, in order, and never idle while something waits."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest

from athanor.rag._ingest_window import Window

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Item:
    weight: int


async def test_a_group_is_full_while_another_is_worked_on() -> None:
    window = Window[Item](group=4, most=100)
    await window.put(Item(1))
    assert await window.take() == [Item(1)]  # nobody works: what there is goes at once
    await window.put(Item(2))
    with anyio.move_on_after(0.02) as waited:
        await window.take()
    assert waited.cancelled_caught
    await window.put(Item(3))
    assert await window.take() == [Item(2), Item(3)]


async def test_a_part_of_a_group_goes_when_the_last_one_is_done() -> None:
    window = Window[Item](group=4, most=100)
    await window.put(Item(9))
    await window.take()
    await window.put(Item(1))
    taken: list[list[Item]] = []

    async def take() -> None:
        taken.append(await window.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert not taken
        await window.done()
    assert taken == [[Item(1)]]


async def test_no_more_is_taken_in_than_fits() -> None:
    window = Window[Item](group=2, most=4)
    put = 0

    async def fill() -> None:
        nonlocal put
        for _ in range(10):
            await window.put(Item(2))
            put += 1
        await window.close()

    seen = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fill)
        await anyio.wait_all_tasks_blocked()
        assert put == 2
        while group := await window.take():
            seen += len(group)
            await window.done()
    assert seen == 10


async def test_a_large_one_passes_alone() -> None:
    window = Window[Item](group=4, most=4)
    await window.put(Item(1_000))
    assert await window.take() == [Item(1_000)]
    await window.close()
    assert await window.take() == []
    assert await window.take() == []  # for each of those who take
