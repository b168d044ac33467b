"""Both answer modes through the whole path, with a model that answers by rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from athanor.gateway import App, handle
from athanor.types import SYSTEM_READER, AnswerMode, Citation, Cited, Event, Finished, Message, Request, Role, TextDelta
from tests.gateway.conftest import Opener, context, learn

pytestmark = pytest.mark.anyio

HARBOUR = (
    "# Harbour\n\nThe harbour of Eskola was dredged in 1912 by the Lindqvist company. "
    "Its lighthouse burns whale oil until 1931. The harbour master is elected for six years.\n"
)


async def answer(app: App, question: str, mode: AnswerMode) -> tuple[str, list[Cited], Finished]:
    request = Request(model="docs", messages=(Message(role=Role.USER, content=question),), mode=mode)
    text, cited, end = "", [], None
    async for event in handle(request, context(app), app):
        match event:
            case TextDelta():
                text += event.text
            case Cited():
                cited.append(event)
            case Finished():
                end = event
    assert end is not None
    for event in cited:
        await check(app, text, event)
    return text, cited, end


async def check(app: App, text: str, event: Cited) -> None:
    citation: Citation = event.citation
    source = await app.knowledge.text(citation.document, citation.version, reader=SYSTEM_READER)
    assert source[citation.start : citation.end] == citation.quote
    assert text[event.start : event.end].strip()


async def test_extractive_quotes_verbatim(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with opened() as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        text, cited, end = await answer(app, "When was the harbour of Eskola dredged?", AnswerMode.EXTRACTIVE)
        assert "1912" in text
        assert not end.abstained
        assert all(text[event.start : event.end] == event.citation.quote for event in cited)
        assert end.mode is AnswerMode.EXTRACTIVE


async def test_generative_keeps_what_is_supported_and_drops_what_is_not(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    written = (
        "The harbour of Eskola was dredged in 1912 by the Lindqvist company. It was dredged again in 1955. "
        "The harbour master is elected for six years."
    )
    async with opened(rules=[{"pattern": "harbour", "answer": written}]) as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        text, cited, end = await answer(app, "When was the harbour of Eskola dredged?", AnswerMode.GENERATIVE)
        assert end.mode is AnswerMode.GENERATIVE
        assert "1912" in text
        assert "six years" in text
        assert "1955" not in text
        assert end.dropped == 1
        assert len(cited) == 2


async def test_when_nothing_written_is_supported_the_sources_are_quoted(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with opened(rules=[{"pattern": "harbour", "answer": "Pirates dug it in 1650. They used spoons."}]) as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        text, cited, end = await answer(app, "When was the harbour of Eskola dredged?", AnswerMode.GENERATIVE)
        assert "1912" in text
        assert "Pirates" not in text
        assert end.mode is AnswerMode.EXTRACTIVE
        assert end.dropped == 2
        assert cited


async def test_a_model_that_has_left_the_passages_is_stopped(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    rambling = " ".join(f"Mermaid number {n} sings of tin and copper." for n in range(60))
    async with opened(rules=[{"pattern": "harbour", "answer": rambling}]) as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        text, _, end = await answer(app, "When was the harbour of Eskola dredged?", AnswerMode.GENERATIVE)
        assert "1912" in text
        assert end.dropped < 10


async def test_what_was_written_and_dropped_is_billed_when_the_caller_goes_away(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    rambling = " ".join(f"Mermaid number {n} sings of tin and copper." for n in range(60))
    async with opened(rules=[{"pattern": "harbour", "answer": rambling}]) as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        question = Message(role=Role.USER, content="When was the harbour of Eskola dredged?")
        request = Request(model="docs", messages=(question,), mode=AnswerMode.GENERATIVE)
        ctx = context(app)
        async with aclosing(handle(request, ctx, app)) as events:
            assert not [event async for event in take(events, 2) if getattr(event, "text", "")]
        row = app.store.requests.get(ctx.trace)
        assert row.status == "cancelled"
        assert row.usage.completion_tokens > 5


async def take(events: AsyncIterator[Event], count: int) -> AsyncIterator[Event]:
    for _ in range(count):
        yield await anext(events)


@pytest.mark.parametrize("mode", list(AnswerMode))
async def test_both_modes_abstain_without_a_source(opened: Opener, tmp_path: Path, mode: AnswerMode) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with opened(rules=[{"pattern": ".", "answer": "Surely forty-two."}]) as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        _, cited, end = await answer(app, "Which enzymes digest lactose in mammals?", mode)
        assert end.abstained
        assert not cited


async def test_an_empty_base_abstains(opened: Opener) -> None:
    async with opened() as app:
        await app.knowledge.create("docs")
        _, cited, end = await answer(app, "When was the harbour dredged?", AnswerMode.EXTRACTIVE)
        assert end.abstained
        assert not cited


async def test_a_deleted_document_is_gone_at_once(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with opened() as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        base = await app.knowledge.base("docs", reader=SYSTEM_READER)
        (document,) = await app.knowledge.documents(base, reader=SYSTEM_READER)
        assert await app.knowledge.search(base, "harbour", reader=SYSTEM_READER)
        await app.knowledge.remove(document.id, reader=SYSTEM_READER)
        assert (
            await app.knowledge.search(
                await app.knowledge.base("docs", reader=SYSTEM_READER), "harbour", reader=SYSTEM_READER
            )
            == []
        )


async def test_a_changed_document_replaces_the_old(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with opened() as app:
        await learn(app, folder, {"harbour.md": HARBOUR})
        await learn(app, folder, {"harbour.md": HARBOUR.replace("1912", "1913")})
        text, cited, _ = await answer(app, "When was the harbour of Eskola dredged?", AnswerMode.EXTRACTIVE)
        assert "1913" in text
        assert "1912" not in text
        assert {event.citation.version for event in cited} == {2}
        base = await app.knowledge.base("docs", reader=SYSTEM_READER)
        assert app.store.chunks.verify(base.id) == []
