"""`/console/lab`: one query through every stage of retrieval, with the scores."""

from __future__ import annotations

from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.source import link
from athanor.console.stages import NAMES, bumps
from athanor.console.widgets import Tag, badge, button, empty, goto, page, problem
from athanor.errors import AthanorError
from athanor.rag import Explanation
from athanor.types import Hit, KnowledgeBase

LIMIT = 10


async def show(request: Request, base: str = "", q: str = "") -> None:
    """Draw the page. The query is in the address, so that it can be kept and sent on."""
    here = visit(request)
    app = here.app
    with page("books", "Retrieval lab", css="is-wide"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text="Retrieval lab")
            Tag("p", text="What each stage of a search makes of a question, and why a passage is where it is.")
        body = Tag("div", "a-stack")
    try:
        reader = await app.reader(here.principal)
        bases = await app.knowledge.bases(reader=reader)
        chosen = next((b for b in bases if base in {b.id, b.name}), next(iter(bases), None))
        with body:
            if chosen is None:
                empty("books", "No knowledge base yet", "Make one, and put documents in it.")
                return
            _form(bases, chosen, q)
        if not q.strip():
            with body:
                empty("books", "Ask something", "The picture shows both legs, their fusion, and what came after.")
            return
        found = await app.knowledge.explain(chosen, q, reader=reader, limit=LIMIT)
    except AthanorError as error:
        with body:
            problem(error)
        return
    with body:
        _draw(chosen, found)


def _form(bases: list[KnowledgeBase], chosen: KnowledgeBase, query: str) -> None:
    with Tag("form", "a-filters", method="get", action="/console/lab", role="search"):
        with Tag("label", text="Knowledge base"), Tag("span", "a-pick"), Tag("select", "a-select", name="base"):
            for base in bases:
                Tag("option", text=base.name, value=base.id, selected=base.id == chosen.id or None)
        with Tag("label", "a-grow", text="Question"):
            Tag("input", "a-input is-query", name="q", value=query, maxlength=2000, required=True, autocomplete="off")
        button("Search", css="is-main", type="submit")
        goto("books", "Documents", f"/console/knowledge?base={chosen.id}", css="is-quiet")


def _draw(base: KnowledgeBase, found: Explanation) -> None:
    if not found.hits:
        empty("books", "Nothing found", "No passage shares a word or a meaning with the question.")
        return
    settings = base.settings
    with Tag("section", "a-card"):
        with Tag("div", "a-cardhead"):
            Tag("h2", text="Places, stage by stage")
            with Tag("div", "a-facts"):
                Tag("span", text=f"settings version {base.version}")
                Tag("span", text=f"dense share {settings.dense_weight:g}")
                if found.further:
                    Tag("span", text=f"second search: {found.further[:120]}")
        with Tag("div", "a-pad a-scrollx"):
            bumps(found.stages, {hit.chunk.id: f"{hit.title}, {hit.chunk.place}".strip(", ") for hit in found.hits})
    places = {
        stage.name: {key: place for place, (key, _) in enumerate(stage.ranked, start=1)} for stage in found.stages
    }
    with Tag("section", "a-card", aria_label="Result"):
        for number, hit in enumerate(found.hits, start=1):
            _hit(number, hit, places)


def _hit(number: int, hit: Hit, places: dict[str, dict[str, int]]) -> None:
    chunk = hit.chunk
    with Tag("article", "a-message", data_passage=chunk.id):
        with Tag("div", "a-line a-wrap"):
            badge(str(number), "is-good" if number == 1 else "")
            address = link(chunk.document, hit.document_version, chunk.start, chunk.end)
            Tag("a", "a-grow a-clip", text=hit.title or hit.source, href=address)
            with Tag("div", "a-facts"):
                if chunk.place:
                    Tag("span", text=chunk.place)
                Tag("span", text=f"score {hit.score:.3f}")
                Tag("span", text=f"words {hit.lexical:.2f}" if hit.lexical is not None else "words –")
                Tag("span", text=f"cosine {hit.dense:.3f}" if hit.dense is not None else "cosine –")
                if hit.reranker is not None:
                    Tag("span", text=f"cross-encoder {hit.reranker:.2f}")
        steps = [f"{NAMES.get(name, name)} {found[chunk.id]}" for name, found in places.items() if chunk.id in found]
        Tag("p", "a-small a-muted", text=" → ".join(steps))
        if chunk.heading:
            Tag("p", "a-small a-muted", text=chunk.heading)
        Tag("p", "a-text is-short", text=chunk.text[:1200])
