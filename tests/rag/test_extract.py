from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.rag.calibration import EMBEDDED, RERANKED
from athanor.rag.extract import PASSAGES, READ, extract
from athanor.types import Hit
from tests.rag.fakes import WordEmbedder, WordReranker, hit

pytestmark = pytest.mark.anyio

BRIDGE = "The Avonmouth bridge was opened in 1974. It carries eight lanes. Tolls on it were abolished in 1992."
GARDEN = "Tulips flower in spring. Water the garden in the evening."
MODELS = [WordReranker(), None]


async def ask(question: str, hits: list[Hit], reranker: WordReranker | None, **options: Any) -> list[str] | None:
    found = await extract(question, hits, embedder=WordEmbedder(), reranker=reranker, **options)
    assert found.abstained is (not found.citations)
    assert 0 <= found.confidence <= 1
    return None if found.abstained else [citation.quote for citation in found.citations]


@pytest.mark.parametrize("reranker", MODELS)
async def test_quotes_the_sentence_that_answers(reranker: WordReranker | None) -> None:
    quotes = await ask("When was the Avonmouth bridge opened?", [hit(BRIDGE), hit(GARDEN, document="d2")], reranker)
    assert quotes is not None
    assert quotes[0] == "The Avonmouth bridge was opened in 1974."


@pytest.mark.parametrize("reranker", MODELS)
async def test_abstains_when_no_passage_speaks_of_it(reranker: WordReranker | None) -> None:
    assert await ask("Who invented the telephone exchange?", [hit(BRIDGE), hit(GARDEN)], reranker) is None


@pytest.mark.parametrize("reranker", MODELS)
@pytest.mark.parametrize("hits", [[], [hit("")], [hit(" \n\n")]])
async def test_abstains_on_nothing(reranker: WordReranker | None, hits: list[Hit]) -> None:
    assert await ask("When was the bridge opened?", hits, reranker) is None
    assert await ask("?!", [hit(BRIDGE)], reranker) is None


@pytest.mark.parametrize("reranker", MODELS)
async def test_a_sentence_that_only_asks_the_same_is_no_answer(reranker: WordReranker | None) -> None:
    question = "When was the Avonmouth bridge opened?"
    asked = hit("When was the\nAvonmouth Bridge opened?", document="d2")
    quotes = await ask(question, [asked, hit(f"{question} {BRIDGE}")], reranker)
    assert quotes is not None
    assert quotes[0] == "The Avonmouth bridge was opened in 1974."
    assert not any("?" in quote for quote in quotes)
    assert await ask(question, [asked], reranker) is None


async def test_the_threshold_decides() -> None:
    question = "When was the Avonmouth bridge opened?"
    assert await ask(question, [hit(BRIDGE)], WordReranker(), threshold=1.0) is None
    assert await ask("Who invented the telephone?", [hit(BRIDGE)], WordReranker(), threshold=0.0) is not None


async def test_cites_at_most_as_many_as_asked_and_nothing_twice() -> None:
    hits = [hit(BRIDGE), hit(BRIDGE, document="d2"), hit(BRIDGE, document="d3")]
    for limit in (1, 2, 3):
        quotes = await ask(
            "Avonmouth bridge opened 1974 tolls abolished 1992 lanes", hits, WordReranker(), max_sentences=limit
        )
        assert quotes is not None
        assert len(quotes) <= limit
        assert len(set(quotes)) == len(quotes)


async def test_what_is_read_is_bounded() -> None:
    reranker = WordReranker()
    long = " ".join(f"Sentence number {i} is about bridges." for i in range(400))
    await ask("What about bridges?", [hit(long, document=f"d{i}") for i in range(20)], reranker)
    assert reranker.pairs <= READ + 1
    embedder = WordEmbedder()
    await extract("What about bridges?", [hit(long)], embedder=embedder, reranker=None)
    assert embedder.texts <= READ + 1


async def test_passages_far_down_are_not_considered() -> None:
    hits = [hit(GARDEN, document=f"d{i}") for i in range(PASSAGES)] + [hit(BRIDGE, document="last")]
    assert await ask("When was the Avonmouth bridge opened?", hits, WordReranker()) is None


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from([BRIDGE, GARDEN, "# Head\n", "| a | b |\n", "\n\n", "x = 1. ", "Ünï çode. "])).map(
            "".join
        ),
        max_size=5,
    ),
    st.sampled_from(["When was the bridge opened?", "garden", "Ünï?", "x"]),
)
def test_every_quote_is_its_span_of_the_source(texts: list[str], question: str) -> None:

    offset = 17
    hits = [hit(text, document=f"d{i}", start=offset) for i, text in enumerate(texts)]

    async def run() -> None:
        found = await extract(question, hits, embedder=WordEmbedder(), reranker=WordReranker(), threshold=0.0)
        for citation in found.citations:
            text = texts[int(citation.document[1:])]
            assert text[citation.start - offset : citation.end - offset] == citation.quote

    asyncio.run(run())  # anyio would ask what other tests have left in this thread


@pytest.mark.parametrize("fitted", [RERANKED, EMBEDDED])
def test_confidence_grows_with_each_sign(fitted: Any) -> None:
    low, high = (fitted.confidence(best, 0.0, cover) for best, cover in ((0.1, 0.2), (0.9, 1.0)))
    assert 0 < low < high < 1
    assert fitted.confidence(1e9, 0, 0) == pytest.approx(1.0)
    assert 0 < fitted.threshold < 1
