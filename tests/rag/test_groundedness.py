from __future__ import annotations

from collections.abc import Sequence

import pytest

from athanor.rag.entail import Judgement, able, combined
from athanor.rag.groundedness import Grader, clauses, grade, groundedness
from athanor.types import NO_USAGE, AnswerMode, Profile, Usage
from tests.rag.fakes import WordEmbedder, hit

SOURCE = (
    "The bridge at Avonmouth was opened in 1974. It is 1,388 metres long and carries eight lanes. "
    "Its engineer, Sir Ralph Freeman, never saw the finished bridge. Tolls were abolished in 1992."
)
HITS = [hit("Unrelated text about gardens and tulips.", document="d0"), hit(SOURCE, start=40)]

pytestmark = pytest.mark.anyio


@pytest.fixture
def grader() -> Grader:
    return Grader(HITS, WordEmbedder())


@pytest.mark.parametrize(
    "written",
    ["The bridge at Avonmouth was opened in 1974.", "The bridge was opened in 1974.", "Tolls were abolished in 1992."],
)
async def test_what_the_source_says_is_supported_and_cited_exactly(grader: Grader, written: str) -> None:
    found = await grader.grade(written)
    assert found.supported
    (citation,) = found.citations
    assert SOURCE[citation.start - 40 : citation.end - 40] == citation.quote
    assert citation.document == "d1"
    assert 0 < citation.score == found.score <= 1


@pytest.mark.parametrize(
    "written",
    [
        "The bridge at Avonmouth was opened in 1975.",  # another number
        "The bridge at Bristol was opened in 1974.",  # another name
        "The bridge at Avonmouth was not opened in 1974.",  # denied
        "The bridge at Avonmouth was closed in 1974.",  # the opposite
        "Sir Ralph Freeman saw the finished bridge.",  # a denial lost
        "Tolls were abolished because of protests by local drivers.",  # words of its own
        "Penguins live in Antarctica.",
        "It is.",
        "",
    ],
)
async def test_what_it_does_not_say_is_not(grader: Grader, written: str) -> None:
    found = await grader.grade(written)
    assert not found.supported
    assert found.score < grader.threshold


async def test_a_sentence_of_the_source_is_sure_and_costs_no_embedding() -> None:
    embedder = WordEmbedder()
    found = await Grader(HITS, embedder).grade("Tolls were  abolished in 1992.")
    assert found.score == 1.0
    assert embedder.texts == 0


async def test_both_parts_of_a_sentence_need_support_and_have_their_citations(grader: Grader) -> None:
    both = await grader.grade("The bridge at Avonmouth was opened in 1974, and tolls were abolished in 1992 there.")
    assert both.supported
    assert {c.quote for c in both.citations} >= {"The bridge at Avonmouth was opened in 1974."}
    half = await grader.grade("The bridge at Avonmouth was opened in 1974, and penguins live in its eight towers.")
    assert not half.supported


def test_only_parts_that_say_something_are_parts() -> None:
    assert clauses("It was opened in 1974, and it was closed again in 1992.") == [
        "It was opened in 1974",
        "it was closed again in 1992.",
    ]
    assert clauses("Red, and blue.") == []
    assert clauses("The bridge was opened in 1974.") == []


async def test_no_passages_support_nothing() -> None:
    found = await Grader([], WordEmbedder()).grade("Anything.")
    assert not found.supported
    assert found.score == 0.0
    assert found.citations == ()


async def test_the_threshold_decides() -> None:
    written = "The bridge was opened in 1974."
    assert not (await Grader(HITS, WordEmbedder(), threshold=1.0).grade(written)).supported
    assert (await Grader(HITS, WordEmbedder(), threshold=0.0).grade("Penguins saw the bridge.")).supported


async def test_a_model_that_is_asked_moves_a_score_in_doubt_and_is_billed() -> None:
    asked: list[str] = []

    async def says(value: float | None, text: str) -> float:
        async def judge(sentence: str, passages: Sequence[str]) -> Judgement:
            asked.append(sentence)
            assert passages == [SOURCE]
            return Judgement(probability=value, usage=Usage(prompt_tokens=7))

        found = await Grader(HITS, WordEmbedder(), judge=judge).grade(text)
        assert found.usage is NO_USAGE or found.usage.prompt_tokens == 7
        return found.score

    doubtful = "Sir Ralph Freeman the engineer never saw a finished bridge at Avonmouth opened."
    own = await says(None, doubtful)
    assert await says(0.02, doubtful) < own
    assert await says(0.98, doubtful) > min(own, 0.5)
    assert asked
    asked.clear()
    await says(0.0, "The bridge at Avonmouth was opened in 1974.")
    await says(1.0, "Penguins live in Antarctica.")
    assert asked == []  # neither is in doubt


def test_only_a_trusted_model_that_can_say_yes_or_no_is_asked() -> None:
    trusted = Profile(name="m", context=8, licence="x", grounded=AnswerMode.GENERATIVE, json_schema=True)
    small = Profile(name="m", context=8, licence="x", grounded=AnswerMode.EXTRACTIVE, json_schema=True)
    mute = Profile(
        name="m", context=8, licence="x", grounded=AnswerMode.GENERATIVE, lacks=frozenset({"logprobs", "json_schema"})
    )
    assert [able(profile) for profile in (trusted, small, mute)] == [True, False, False]
    assert combined(0.5, 0.5) == pytest.approx(0.5)
    assert 0.5 < combined(0.5, 0.95) < 0.95


async def test_a_whole_text_is_graded_by_sentences() -> None:
    text = "# Bridges\n\nThe bridge at Avonmouth was opened in 1974. Penguins live in its towers.\n"
    found = await grade(text, HITS, embedder=WordEmbedder())
    assert [text[one.start : one.end] for one in found] == [
        "The bridge at Avonmouth was opened in 1974.",
        "Penguins live in its towers.",
    ]
    assert [one.grade.supported for one in found] == [True, False]
    assert groundedness(one.grade.score for one in found) == min(one.grade.score for one in found)
    assert groundedness([]) is None
