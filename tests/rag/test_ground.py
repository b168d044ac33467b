from __future__ import annotations

import pytest

from athanor.rag.ground import Grounder
from tests.rag.fakes import WordEmbedder, hit

SOURCE = (
    "The bridge at Avonmouth was opened in 1974. It is 1,388 metres long and carries eight lanes. "
    "Its engineer, Sir Ralph Freeman, never saw the finished bridge. Tolls were abolished in 1992."
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def grounder() -> Grounder:
    return Grounder(
        [hit("Unrelated text about gardens and tulips.", document="d0"), hit(SOURCE, start=40)], WordEmbedder()
    )


@pytest.mark.parametrize(
    "written",
    ["The bridge at Avonmouth was opened in 1974.", "The bridge was opened in 1974.", "Tolls were abolished in 1992."],
)
async def test_what_the_source_says_is_supported_and_cited_exactly(grounder: Grounder, written: str) -> None:
    citation = await grounder.support(written)
    assert citation is not None
    assert SOURCE[citation.start - 40 : citation.end - 40] == citation.quote
    assert citation.document == "d1"
    assert 0 < citation.score <= 1


@pytest.mark.parametrize(
    "written",
    [
        "The bridge at Avonmouth was opened in 1975.",  # another number
        "The bridge at Bristol was opened in 1974.",  # another name
        "The bridge at Avonmouth was not opened in 1974.",  # denied
        "Sir Ralph Freeman saw the finished bridge.",  # a denial lost
        "Tolls were abolished because of protests by local drivers.",  # words of its own
        "Penguins live in Antarctica.",
        "It is.",
        "",
    ],
)
async def test_what_it_does_not_say_is_not(grounder: Grounder, written: str) -> None:
    assert await grounder.support(written) is None


async def test_no_passages_support_nothing() -> None:
    assert await Grounder([], WordEmbedder()).support("Anything.") is None
