from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athanor.engines.adapters.scripted import Rule, Script, ScriptedEngine
from athanor.rag.chunk import chunk
from athanor.rag.engine import AnswerSettings, KnowledgeEngine
from athanor.rag.expand import Grown, expand
from athanor.rag.generate import taken
from athanor.rag.knowledge import Knowledge
from athanor.rag.passages import cite, sentences_of
from athanor.rag.retrieve import Retriever
from athanor.rag.tokens import estimate
from athanor.store import Store
from athanor.types import (
    Access,
    AnswerMode,
    Citation,
    Cited,
    Context,
    Document,
    DocumentStatus,
    Hit,
    KnowledgeBase,
    Message,
    ParsedDocument,
    Principal,
    Reader,
    Request,
    RetrievalSettings,
    Role,
    RoleName,
    TextDelta,
    new_id,
)
from tests.rag.fakes import DIMENSION, WordEmbedder
from tests.rag.test_chunk import make, sentences


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


def a_base(store: Store) -> KnowledgeBase:
    return store.knowledge.create(new_id("kb"), embedder="words", dimension=DIMENSION)


def put(store: Store, base: KnowledgeBase, parsed: ParsedDocument, *, source: str = "a.txt", target: int = 32) -> str:
    """Id of the stored document."""
    raw = parsed.text.encode()
    known = store.knowledge.sources(base.id).get(source)
    identity = known.document if known else new_id("doc")
    chunks = chunk(parsed, document_id=identity, target_tokens=target)
    document = Document(
        id=identity,
        knowledge_base=base.id,
        source=source,
        version=0,
        sha256=sha256(raw).hexdigest(),
        text_sha256=store.blobs.put(raw),
        title=parsed.title,
        mime=parsed.mime,
        size=len(raw),
        pages=parsed.pages,
        status=DocumentStatus.READY,
        error=None,
        chunks=len(chunks),
        created_at=0.0,
        updated_at=0.0,
    )
    vector = bytes(4 * DIMENSION)
    store.knowledge.replace_document(document, chunks, [vector] * len(chunks), embedder="words")
    return identity


def found(store: Store, base: KnowledgeBase, document: str, *ordinals: int) -> list[Hit]:
    """The passages of these ordinals as hits, the first the best."""
    ids = {c.ordinal: c.id for c in store.chunks.of_document(document)}
    hits = store.chunks.hits(base.id, [ids[i] for i in ordinals])
    return [replace(hit, score=-float(place)) for place, hit in enumerate(hits)]


def sections_of(grown: Grown) -> list[tuple[int, int]]:
    return [(hit.chunk.start, hit.chunk.end) for hit in grown.hits]


BOOK = make(
    ("heading", "Rivers", 1),
    *[("paragraph", sentences(2, seed=i, words=10)) for i in range(6)],
    ("heading", "Lakes", 1),
    *[("paragraph", sentences(2, seed=10 + i, words=10)) for i in range(6)],
    title="Book",
)


def test_a_passage_grows_inside_its_section_and_its_budget(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, BOOK)
    chunks = store.chunks.of_document(document)
    lakes = [c.ordinal for c in chunks if c.heading == "Book > Lakes"]
    assert len(lakes) > 3
    hits = found(store, base, document, lakes[0])
    (whole,) = expand(store, base, hits, tokens=10_000).hits
    assert (whole.chunk.start, whole.chunk.end) == (chunks[lakes[0]].start, chunks[lakes[-1]].end)
    assert whole.chunk.text == BOOK.text[whole.chunk.start : whole.chunk.end]
    assert "Rivers" not in whole.chunk.text
    assert (whole.chunk.id, whole.score) == (hits[0].chunk.id, hits[0].score)
    (some,) = expand(store, base, hits, tokens=90).hits
    assert estimate(hits[0].chunk.text) < estimate(some.chunk.text) <= 90
    assert some.chunk.end in {c.end for c in chunks}, "whole neighbours"
    (same,) = expand(store, base, hits, tokens=estimate(hits[0].chunk.text)).hits
    assert same == hits[0]


def test_it_grows_to_both_sides(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, BOOK)
    lakes = [c for c in store.chunks.of_document(document) if c.heading == "Book > Lakes"]
    hits = found(store, base, document, lakes[1].ordinal)
    tokens = estimate(BOOK.text[lakes[0].start : lakes[2].end])
    (grown,) = expand(store, base, hits, tokens=tokens).hits
    assert (grown.chunk.start, grown.chunk.end) == (lakes[0].start, lakes[2].end)


def test_passages_that_touch_become_one_where_the_best_stands(store: Store) -> None:
    base = a_base(store)
    document, other = put(store, base, BOOK), put(store, base, BOOK, source="b.txt")
    hits = found(store, base, document, 2, 0, 1)
    (elsewhere,) = found(store, base, other, 0)
    grown = expand(store, base, [elsewhere, *hits], tokens=1)
    assert [hit.source for hit in grown.hits] == ["b.txt", "a.txt"]
    joined = grown.hits[1]
    assert joined.chunk.id == hits[0].chunk.id
    assert [part.ordinal for part in grown.parts[joined.chunk.id]] == [0, 1, 2]
    assert joined.chunk.text == BOOK.text[hits[1].chunk.start : hits[0].chunk.end]


def test_neighbours_of_another_section_stay_two(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, BOOK)
    first = next(c.ordinal for c in store.chunks.of_document(document) if c.heading == "Book > Lakes")
    hits = found(store, base, document, first, first - 1)
    assert [*expand(store, base, hits, tokens=1).hits] == hits


def test_what_was_left_out_between_passages_is_not_read(store: Store) -> None:
    text = f"{sentences(2)}\n\n{'[1]: http://example.com/ ' * 20}\n\n{sentences(2, seed=1)}"
    gap = text.index("[1]"), text.rindex("/") + 1
    parsed = ParsedDocument(
        text=text,
        title="Doc",
        mime="text/plain",
        blocks=tuple(
            make(("paragraph", "x")).blocks[0].__class__(kind="paragraph", start=a, end=b)
            for a, b in ((0, gap[0] - 2), (gap[1] + 3, len(text)))
        ),
    )
    base = a_base(store)
    document = put(store, base, parsed)
    hits = found(store, base, document, 0)
    assert [*expand(store, base, hits, tokens=10_000).hits] == hits


def test_a_table_that_was_cut_is_one_section(store: Store) -> None:
    rows = "\n".join(f"| item {i} | {i} euros and some cents |" for i in range(20))
    parsed = make(
        ("heading", "Prices", 1), ("table", f"| name | price |\n| --- | --- |\n{rows}"), ("paragraph", "That is all.")
    )
    base = a_base(store)
    document = put(store, base, parsed)
    chunks = store.chunks.of_document(document)
    assert any(c.heading.endswith("name | price") for c in chunks)
    for number in (0, len(chunks) - 1):
        (whole,) = expand(store, base, found(store, base, document, number), tokens=10_000).hits
        assert whole.chunk.text == parsed.text


def test_all_together_keep_to_the_room_and_the_best_grow_first(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, BOOK)
    lakes = [c.ordinal for c in store.chunks.of_document(document) if c.heading == "Book > Lakes"]
    hits = found(store, base, document, lakes[0], 0)
    bare = sum(map(taken, hits))
    assert [*expand(store, base, hits, tokens=10_000, room=bare).hits] == hits
    grown = expand(store, base, hits, tokens=10_000, room=bare + 400)
    assert bare < sum(map(taken, grown.hits)) <= bare + 400
    assert len(grown.hits[0].chunk.text) > len(hits[0].chunk.text)


def test_a_document_that_changed_is_left_as_it_was_found(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, BOOK)
    hits = found(store, base, document, 1)
    put(store, base, BOOK)
    assert [*expand(store, base, hits, tokens=10_000).hits] == hits
    store.knowledge.delete_document(document)
    assert [*expand(store, base, hits, tokens=10_000).hits] == hits


def test_what_was_closed_meanwhile_gives_no_neighbours(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, BOOK)
    hits = found(store, base, document, 1)
    staff = store.knowledge.view(base.id, Reader())
    assert expand(store, base, hits, tokens=10_000, view=staff).hits[0] != hits[0]
    store.knowledge.set_access(document, Access(readers=("group:hr",)))
    for view in (staff, store.knowledge.view(base.id, Reader())):
        assert [*expand(store, base, hits, tokens=10_000, view=view).hits] == hits
    hr = store.knowledge.view(base.id, Reader(identities=frozenset({"group:hr"})))
    assert expand(store, base, hits, tokens=10_000, view=hr).hits[0] != hits[0]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_grown_is_a_slice_of_its_section(store: Store, data: st.DataObject) -> None:
    blocks: list[tuple[str, str] | tuple[str, str, int]] = []
    for number in range(data.draw(st.integers(1, 12))):
        if data.draw(st.booleans()):
            blocks.append(("heading", f"Part {data.draw(st.integers(0, 2))}", data.draw(st.integers(1, 3))))
        blocks.append(("paragraph", sentences(data.draw(st.integers(1, 9)), seed=number)))
    parsed = make(*blocks)
    base = a_base(store)
    document = put(store, base, parsed)
    chunks = store.chunks.of_document(document)
    some = data.draw(st.lists(st.sampled_from([c.ordinal for c in chunks]), min_size=1, max_size=5, unique=True))
    hits = found(store, base, document, *some)
    tokens = data.draw(st.integers(1, 400))
    grown = expand(store, base, hits, tokens=tokens)
    for hit in grown.hits:
        assert hit.chunk.text == parsed.text[hit.chunk.start : hit.chunk.end]
        inside = [c for c in chunks if hit.chunk.start <= c.start and c.end <= hit.chunk.end]
        assert {c.heading for c in inside} == {hit.chunk.heading}
        own = [h for h in hits if h.chunk in inside]
        assert own[0].chunk.id == hit.chunk.id, "the best of those that went into it"
        if len(own) == 1:
            assert estimate(hit.chunk.text) <= max(tokens, estimate(own[0].chunk.text))
        for sentence in sentences_of([hit]):
            citation = grown.attributed(cite(hit, sentence, 1.0))
            assert parsed.text[citation.start : citation.end] == citation.quote
            (part,) = [c for c in chunks if c.id == citation.chunk]
            assert part.start <= citation.start < part.end
    spans = sections_of(grown)
    assert all(any(a <= h.chunk.start and h.chunk.end <= b for a, b in spans) for h in hits), "nothing is lost"
    assert [h.score for h in grown.hits] == sorted((h.score for h in grown.hits), reverse=True)


PLAN = make(
    ("heading", "Moves", 1),
    ("paragraph", "The archive of the harbour office is on the second floor of the old mill."),
    ("paragraph", "It may be visited on Tuesdays between nine and noon. Bring a library card with you, please."),
    ("paragraph", "Copies cost ten cents a page, and nothing may be taken out of the reading room."),
    title="Plan",
)


async def told(store: Store, base: KnowledgeBase, expand: int, said: str) -> tuple[str, list[Citation], str]:
    """The writer's passages, the citations, and the answer's text."""
    embedder, writer = WordEmbedder(), ScriptedEngine(Script(rules=(Rule(pattern="", answer=said),)))
    answering = AnswerSettings(mode=AnswerMode.GENERATIVE, threshold=0.0, max_sentences=1)
    knowledge = Knowledge(store, embedder, Retriever(store, embedder))
    used = replace(base, settings=RetrievalSettings(expand=expand, per_document=1))
    engine = KnowledgeEngine(used, knowledge, writer, embedder, None, answering, reader=Reader())
    request = Request(model="docs", messages=(Message(role=Role.USER, content="Where is the harbour archive?"),))
    who = Principal(id="p", name="Ada", role=RoleName.USER, created_at=0.0)
    events = [event async for event in engine.run(request, Context(principal=who, trace="tr", door="test"))]
    cited = [event.citation for event in events if isinstance(event, Cited)]
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return writer.requests[0].messages[-1].content, cited, text


@pytest.mark.anyio
async def test_a_model_reads_what_is_around_and_may_cite_it(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, PLAN, target=16)
    chunks = store.chunks.of_document(document)
    assert "Tuesdays" not in chunks[0].text
    said = "It may be visited on Tuesdays between nine and noon."
    off = await told(store, base, 0, said)
    assert "Tuesdays" not in off[0]
    on = await told(store, base, 300, said)
    assert "Tuesdays" in on[0]
    (citation,) = on[1]
    assert PLAN.text[citation.start : citation.end] == citation.quote == said
    assert citation.chunk != chunks[0].id
    assert on[2] == said
