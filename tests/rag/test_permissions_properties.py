"""What somebody sees of a base, counts and scores included, is what they would see if the rest had never been there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from athanor.rag import retrieve
from tests.rag.permission_world import tally, world
from tests.store.conftest import Databases, databases, postgres_server

__all__ = ["databases", "postgres_server"]

pytestmark = pytest.mark.anyio

LOOKS = 2
"""After each change."""


@pytest.fixture(params=[100, 5], ids=["deep", "shallow"])
def depth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Candidates of each leg. With few, a hidden one that took a place would drive a seen one out."""
    found: int = request.param
    monkeypatch.setattr(retrieve, "DEPTH", found)
    return found


async def live(folder: Path, seed: int, cases: int, url: str | None = None) -> tuple[int, int, dict[str, int]]:
    """Let a world live for so many looks: how many there were, how many cached answers, and what happened."""
    async with world(folder, seed, url) as one:
        for _ in range(6):
            await one.put()
        while one.cases < cases:
            await one.step()
            for _ in range(LOOKS):
                await one.look()
        assert one.app.store.chunks.verify(one.base.id) == []
        now = one.app.store.knowledge.get(one.base.id)
        assert one.app.eraser.indexes.verify(now) == []
        return one.cases, one.cached, one.done


async def test_a_reader_sees_a_base_of_what_is_open_to_them(tmp_path: Path, depth: int) -> None:
    cases, cached, _ = await live(tmp_path, seed=depth, cases=120)
    assert cases >= 120
    assert cached, "no answer came from the cache"


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_ten_thousand_looks(tmp_path: Path, depth: int, capsys: pytest.CaptureFixture[str]) -> None:
    total, shared = 0, 0
    happened: dict[str, int] = {}
    for seed in range(25):
        folder = tmp_path / str(seed)
        folder.mkdir()
        cases, cached, done = await live(folder, seed=1000 * depth + seed, cases=200)
        total, shared = total + cases, shared + cached
        happened = {name: happened.get(name, 0) + done.get(name, 0) for name in {*happened, *done}}
    with capsys.disabled():
        print(f"\n{total} looks by depth {depth}, {shared} cached answers, no leak: {tally(happened)}")
    assert total >= 5000


@pytest.fixture
def postgres(databases: Databases) -> Iterator[str]:
    with databases.make() as url:
        yield url


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(1800)
async def test_looks_at_postgresql(
    tmp_path: Path, postgres: str, depth: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cases, cached, done = await live(tmp_path, seed=depth, cases=500, url=postgres)
    with capsys.disabled():
        print(f"\n{cases} looks by depth {depth} on PostgreSQL, {cached} cached answers, no leak: {tally(done)}")
