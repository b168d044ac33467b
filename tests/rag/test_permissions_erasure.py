"""Erasure beyond the document: cached answers, what is recorded afterwards, and a process that ended in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from athanor.errors import NotFoundError, PermissionDeniedError
from athanor.observe import Action
from athanor.types import Access, Content, Context, Message, Reader, Request, RetrievalSettings, Role, new_id
from tests.rag.permission_world import World, answer, world

pytestmark = pytest.mark.anyio

QUESTION = "Where is the salary contract?"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, seed=1) as made:
        await made._put("hr/pay.md", ["The salary contract lies in the harbour office of mark77."], {})
        await made._put("open/plan.md", ["The tulip furnace is under the bridge of mark78."], {})
        yield made


async def ask(one: World) -> dict[str, object]:
    request = Request(model="docs", messages=(Message(role=Role.USER, content=QUESTION),))
    ctx = Context(principal=one.admin, trace=new_id("tr"), door="test")
    target = await one.app.router.resolve("docs", ctx)
    assert target.scope is not None
    return await answer(one.app.cache.through(target.engine, request, ctx, target.scope))


async def test_cached_answers_are_counted_and_gone(one: World) -> None:
    assert "salary" in str((await ask(one))["text"])
    receipt = one.app.eraser.erase(one.base, "hr/pay.md")
    assert receipt.complete
    assert receipt.removed["cached answers"] == 1
    assert "salary" not in str(await ask(one))


async def test_what_is_said_of_it_later_is_not_recorded(one: World) -> None:
    document = one.oracle.documents["hr/pay.md"].document
    other = one.oracle.documents["open/plan.md"].document
    assert one.app.eraser.erase(one.base, "hr/pay.md").complete
    for trace, cited in (("tr_1", document), ("tr_2", other)):
        said = {"content": "x", "citations": [{"document": cited}]}
        one.app.store.contents.insert([Content(trace=trace, at=1.0, request={}, answer=said)])
    assert one.app.store.contents.get("tr_1") is None
    assert one.app.store.contents.get("tr_2") is not None


async def test_a_start_finishes_what_was_cut_off(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    app = one.app
    held = app.store.erasure.held(one.oracle.documents["hr/pay.md"].document)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(app.eraser, "_drop_blobs", die)
        app.eraser.erase(one.base, "hr/pay.md")
    assert any(app.store.blobs.exists(name) for name in held.sha256)
    assert app.eraser.resume() == 1
    assert not any(app.store.blobs.exists(name) for name in held.sha256)
    (proof,) = app.store.audit.entries(action=Action.ERASURE_PROVEN)
    assert proof.details["complete"]
    assert app.eraser.resume() == 0


async def test_other_settings_find_another_answer(one: World) -> None:
    await ask(one)
    version = one.app.store.versions.add(one.base.id, RetrievalSettings(per_document=1))
    one.app.store.versions.use(one.base.id, version.version)
    before = one._hits()
    await ask(one)
    assert one._hits() == before


async def test_a_regulated_base_is_deleted_by_who_reads_everything(one: World) -> None:
    knowledge, who = one.app.knowledge, await one.app.reader(one.people[0])
    knowledge.permissions.permit(one.base, "hr/*", Access(readers=()), reader=Reader(everything=True))
    with pytest.raises(PermissionDeniedError):
        await knowledge.delete(one.base, reader=who)
    assert one.app.store.knowledge.find("docs") is not None
    knowledge.permissions.permit(one.base, "hr/*", None, reader=Reader(everything=True))
    await knowledge.delete(one.base, reader=who)
    assert one.app.store.knowledge.find("docs") is None


async def test_a_verdict_on_nothing(one: World) -> None:
    with pytest.raises(NotFoundError, match="no request with trace 'tr_x'"):
        await one.app.rate(one.people[0], "tr_x", 1)
