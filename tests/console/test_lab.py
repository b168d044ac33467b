"""The retrieval lab, a document's passages, the quality of a base: drawn from what is there, for who may see it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from athanor.types import Access, Evaluation, Job, KnowledgeBase, RetrievalSettings, RoleName
from tests.console.conftest import Site

pytestmark = pytest.mark.anyio
HTML = {"accept": "text/html"}


async def filled(site: Site, folder: Path) -> KnowledgeBase:
    folder.mkdir()
    (folder / "kiln.md").write_text("# The kiln\n\nThe kiln is fired with oak to nine hundred degrees.\n")
    (folder / "wages.md").write_text("# Wages\n\nThe kiln master earns forty florins a month.\n")
    base = await site.app.knowledge.create("works", by=site.owner)
    job: Job = await site.app.ingestion.enqueue_folder(base, folder, by=site.owner)
    await site.app.ingestion.run(job)
    return site.app.store.knowledge.get(base.id)


async def seen(site: Site, path: str) -> str:
    reply = await site.browser.get(path, headers=HTML)
    assert reply.status_code == 200
    return reply.text


async def test_a_question_is_followed_through_every_stage(site: Site, tmp_path: Path) -> None:
    base = await filled(site, tmp_path / "docs")
    await site.log_in()
    page = await seen(site, f"/console/lab?base={base.id}&q=kiln+oak")
    for words in ("By words", "By meaning", "Fused", "Result", "fired with oak", "forty florins"):
        assert words in page
    assert "Ask something" in await seen(site, "/console/lab")


async def test_what_is_closed_is_in_no_stage(site: Site, tmp_path: Path) -> None:
    base = await filled(site, tmp_path / "docs")
    document = site.app.store.knowledge.document_by_source(base.id, "wages.md")
    assert document is not None
    site.app.store.knowledge.set_access(document.id, Access(readers=()))
    await site.log_in(site.principal("ann", RoleName.DEVELOPER))
    page = await seen(site, f"/console/lab?base={base.id}&q=kiln+master+florins")
    assert "fired with oak" in page
    assert "florins a month" not in page
    assert document.id not in page
    assert "florins" not in await seen(site, f"/console/document/{document.id}?passages=true")


async def test_a_document_is_shown_as_it_was_cut(site: Site, tmp_path: Path) -> None:
    base = await filled(site, tmp_path / "docs")
    document = site.app.store.knowledge.document_by_source(base.id, "kiln.md")
    assert document is not None
    await site.log_in()
    page = await seen(site, f"/console/document/{document.id}?passages=true")
    (chunk,) = site.app.store.chunks.of_document(document.id)
    assert chunk.id in page
    assert "As text" in page


async def test_evaluations_and_versions_are_drawn(site: Site, tmp_path: Path) -> None:
    base = await filled(site, tmp_path / "docs")
    figures = {"ndcg@10": {"value": 0.61, "low": 0.55, "high": 0.68}}
    site.app.store.evaluations.add(
        Evaluation(
            id="eval_1", base=base.id, version=0, revision=1, questions="own", created_at=time.time(), figures=figures
        )
    )
    site.app.store.versions.add(base.id, RetrievalSettings(dense_weight=0.5), note="Half and half", figures={})
    await site.log_in()
    page = await seen(site, f"/console/quality?base={base.id}")
    for words in ("ndcg@10", "0.610 (0.550–0.680)", "Half and half", "dense_weight 0.5"):
        assert words in page


async def test_quality_is_for_administrators(site: Site, tmp_path: Path) -> None:
    base = await filled(site, tmp_path / "docs")
    await site.log_in(site.principal("bob", RoleName.DEVELOPER))
    page = await site.browser.get(f"/console/quality?base={base.id}", headers={"accept": "text/html"})
    assert page.status_code == 403
    assert "may not do this" in page.text
    assert "Versions of the settings" not in page.text
