from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from athanor.guards.builtin.harm import HarmGuard
from athanor.guards.builtin.toxicity import ToxicityGuard
from athanor.server.moderations import NAMES, theirs
from athanor.testing import PhraseGuard
from athanor.types import Scopes
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio

PHRASES = {"you fool": "toxicity.insult", "i will find you": "toxicity.threat", "hunter2": "secret.password"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path, guards=[PhraseGuard(PHRASES, score=0.9)]) as found:
        yield found


def sdk(house: Inside, **grant: object) -> openai.AsyncOpenAI:
    _, headers = house.key("moderator", **grant)
    key = headers["authorization"].removeprefix("Bearer ")
    return openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
async def client(house: Inside) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(house) as client:
        yield client


async def test_the_sdk_understands_a_verdict(client: openai.AsyncOpenAI) -> None:
    answer = await client.moderations.create(input="You fool, I will find you.")
    assert answer.model == "athanor-guards"
    (result,) = answer.results
    assert result.flagged
    assert result.categories.harassment
    assert result.categories.harassment_threatening
    assert result.category_scores.harassment == pytest.approx(0.9)
    assert not result.categories.sexual
    assert result.category_scores.sexual == 0.0
    assert result.category_applied_input_types.hate == ["text"]


async def test_each_text_of_a_list_has_a_verdict_of_its_own(client: openai.AsyncOpenAI) -> None:
    answer = await client.moderations.create(input=["Good morning.", "You fool.", ""])
    assert [result.flagged for result in answer.results] == [False, True, False]


async def test_the_parts_of_one_text_have_one_verdict(client: openai.AsyncOpenAI) -> None:
    parts = [{"type": "text", "text": "Good morning,"}, {"type": "text", "text": "you fool."}]
    answer = await client.moderations.create(input=parts)  # type: ignore[arg-type]
    assert [result.flagged for result in answer.results] == [True]


async def test_what_has_no_name_of_theirs_stands_beside_it(client: openai.AsyncOpenAI) -> None:
    answer = await client.moderations.create(input="It is hunter2.")
    (result,) = answer.results
    assert not result.flagged
    own = result.model_extra["athanor"]
    assert own["flagged"]
    assert own["category_scores"] == {"secret.password": 0.9}
    assert (own["findings"][0]["start"], own["findings"][0]["end"]) == (6, 13)


async def test_a_picture_is_refused_rather_than_passed_over(client: openai.AsyncOpenAI) -> None:
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.moderations.create(input=parts)  # type: ignore[arg-type]
    assert caught.value.code == "unsupported"


async def test_an_unknown_model_is_told_which_there_are(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.moderations.create(model="gpt-4", input="x")
    assert "athanor-guards" in str(caught.value)


async def test_it_is_a_door_like_others(house: Inside, client: openai.AsyncOpenAI) -> None:
    await client.moderations.create(input="You fool.")
    (row,) = house.app.store.requests.list(door="moderations")
    assert (row.status, row.model) == ("ok", "athanor-guards")
    assert row.usage.prompt_tokens > 0
    async with sdk(house, scopes=Scopes(doors=("embeddings",))) as other:
        with pytest.raises(openai.PermissionDeniedError):
            await other.moderations.create(input="x")


def test_every_category_of_ours_is_weighed_against_their_words() -> None:
    found = {category: theirs(category) for category in ToxicityGuard.categories | HarmGuard.categories}
    assert {name for words in found.values() for name in words} <= set(NAMES)
    assert {category for category, words in found.items() if not words} == {"toxicity.profanity", "toxicity.flirtation"}
    assert {"illicit" in found[category] for category in HarmGuard.categories} == {True}
    assert found["harm.physical"] == ("illicit", "illicit/violent")
    assert "hate" in found["toxicity.identity"]
    assert "harassment/threatening" in found["toxicity.threat"]
    assert theirs("pii.email") == ()


async def test_the_heads_answer_in_their_words(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    async with inside(tmp_path, guards=[ToxicityGuard(), HarmGuard()]) as house, sdk(house) as client:
        asked = ["You are a stupid worthless idiot and everybody hates you.", "When does the library open on Sundays?"]
        insult, plain = (await client.moderations.create(input=asked)).results
    assert insult.flagged
    assert insult.categories.harassment
    assert insult.category_scores.harassment > plain.category_scores.harassment
    assert not plain.flagged
    assert 0 < plain.category_scores.illicit < 1


async def test_policies_set_thresholds_and_nothing_is_refused(house: Inside, client: openai.AsyncOpenAI) -> None:
    house.app.guards.book.save('[policies.default.user]\n"toxicity.*" = { action = "block", threshold = 0.95 }')
    answer = await client.moderations.create(input="You fool.")
    assert not answer.results[0].flagged
    house.app.guards.book.save('[policies.default.user]\n"toxicity.*" = { action = "block", threshold = 0.5 }')
    answer = await client.moderations.create(input="You fool.")
    assert answer.results[0].flagged
    assert answer.results[0].model_extra["athanor"]["decision"] == "block"


async def test_without_a_guard_that_judges_harm_it_says_so(house: Inside, client: openai.AsyncOpenAI) -> None:
    guards = house.app.guards
    guards.guards = (PhraseGuard({"hunter2": "secret.password"}),)
    with pytest.raises(openai.InternalServerError) as caught:
        await client.moderations.create(input="x")
    assert caught.value.status_code == 501
