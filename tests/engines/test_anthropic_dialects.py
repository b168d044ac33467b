from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from athanor.errors import (
    InputError,
    UnsupportedError,
)
from athanor.testing.engines import collect
from athanor.types import (
    Sampling,
    Thinking,
)
from tests.engines.anthropic_engine import PROFILE, make
from tests.engines.vendors import ask
from tests.upstreams.anthropic import FakeAnthropic
from tests.upstreams.scenes import Refused

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake():
    async with FakeAnthropic() as fake:
        yield fake


@pytest.fixture
async def engine(fake):
    engine = make(fake.url, first_token=2.0, between_tokens=0.3, total=1.0)
    yield engine
    await engine.aclose()


async def body_of(engine, fake, *messages, **fields):
    await collect(engine, ask(*messages, **fields))
    return fake.bodies[-1]


async def test_an_older_version_takes_sampling(fake):
    profile = replace(PROFILE, lacks=frozenset())
    engine = make(fake.url, profile, version="2023-06-01")
    body = await body_of(engine, fake, "say hello")
    assert body["temperature"] == 0.0
    body = await body_of(engine, fake, "say hello", sampling=Sampling(temperature=0.5, top_p=0.9, top_k=3))
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.5, 0.9, 3)
    # Not two of them at once, and not beside thinking, unless the caller says so.
    assert "temperature" not in await body_of(engine, fake, "say hello", sampling=Sampling(top_p=0.9))
    assert "temperature" not in await body_of(engine, fake, "say hello", thinking=Thinking(effort="low"))
    with pytest.raises(UnsupportedError, match="between 0 and 1"):
        await collect(engine, ask("hello", sampling=Sampling(temperature=1.5)))
    await engine.aclose()


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling": Sampling(seed=1)},
        {"sampling": Sampling(presence_penalty=1.0)},
        {"sampling": Sampling(frequency_penalty=1.0)},
        {"logprobs": 2},
    ],
)
async def test_what_no_version_takes_is_refused_whatever_the_profile_says(fake, fields):
    engine = make(fake.url, replace(PROFILE, lacks=frozenset()))
    with pytest.raises(UnsupportedError):
        await collect(engine, ask("hello", **fields))
    assert not fake.calls
    await engine.aclose()


@pytest.mark.parametrize("sampling", [Sampling(temperature=1.0), Sampling(top_p=0.5), Sampling(top_k=3)])
async def test_what_this_version_lacks_is_refused(engine, fake, sampling):
    with pytest.raises(UnsupportedError):
        await collect(engine, ask("hello", sampling=sampling))
    assert not fake.calls


@pytest.mark.parametrize(
    ("thinking", "sent", "effort", "limit"),
    [
        (Thinking(effort="none"), {"type": "disabled"}, None, 4096),
        (Thinking(effort="minimal"), {"type": "adaptive"}, "low", 4096),
        (Thinking(effort="xhigh", summary=True), {"type": "adaptive", "display": "summarized"}, "xhigh", 4096),
        (Thinking(summary=True), {"type": "adaptive", "display": "summarized"}, None, 4096),
        (Thinking(tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None, 6096),
        (Thinking(tokens=2000, effort="low"), {"type": "enabled", "budget_tokens": 2000}, "low", 6096),
    ],
)
async def test_thinking_as_sent(engine, fake, thinking, sent, effort, limit):
    body = await body_of(engine, fake, "say x", thinking=thinking)
    assert body["thinking"] == sent
    assert body.get("output_config", {}).get("effort") == effort
    assert body["max_tokens"] == limit


@pytest.mark.parametrize(("tokens", "limit"), [(1023, None), (5000, 5000), (0, None)])
async def test_a_budget_that_does_not_fit(engine, fake, tokens, limit):
    with pytest.raises(InputError, match="between 1024 and max_tokens"):
        await collect(engine, ask("hello", thinking=Thinking(tokens=tokens), sampling=Sampling(max_tokens=limit)))
    assert not fake.calls


class Choosy(FakeAnthropic):
    """A model that knows one way of thinking only."""

    knows = "adaptive"

    def asked(self, call):
        how = call.body.get("thinking", {}).get("type")
        if how == "enabled" and self.knows != "enabled":
            raise Refused(400, '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".')
        if how == "adaptive" and self.knows != "adaptive":
            raise Refused(400, "adaptive thinking is not supported on this model")
        if how == "disabled":
            raise Refused(400, '"thinking.type.disabled" is not supported for this model.')
        return super().asked(call)


async def test_a_newer_model_is_told_an_effort_instead_of_a_budget():
    async with Choosy() as fake:
        engine = make(fake.url)
        for tokens, effort in ((1024, "low"), (8000, "medium"), (16000, "high"), (60000, "xhigh")):
            body = await body_of(engine, fake, "say x", thinking=Thinking(tokens=tokens))
            assert body["thinking"] == {"type": "adaptive"}
            assert body["output_config"] == {"effort": effort}
        assert len(fake.calls) == 5  # it was refused once
        with pytest.raises(InputError, match="disabled"):  # what cannot be is said, not bent
            await collect(engine, ask("hello", thinking=Thinking(effort="none")))
        await engine.aclose()


async def test_an_older_model_is_told_a_budget_instead_of_an_effort():
    async with Choosy() as fake:
        fake.knows = "enabled"
        engine = make(fake.url)
        body = await body_of(engine, fake, "say x", thinking=Thinking(effort="low"))
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
        assert body["max_tokens"] == 4096 + 2048
        assert "output_config" not in body
        sampling = Sampling(max_tokens=3000)
        body = await body_of(engine, fake, "say x", thinking=Thinking(effort="high"), sampling=sampling)
        assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (1500, 3000)
        assert len(fake.calls) == 3
        await engine.aclose()


async def test_a_model_that_cannot_think_is_not_asked_for_ever():
    async with Choosy() as fake:
        fake.knows = "nothing"
        engine = make(fake.url)
        for thinking in (Thinking(effort="low"), Thinking(tokens=2000), Thinking(effort="high")):
            with pytest.raises(InputError, match="not supported"):
                await collect(engine, ask("hello", thinking=thinking))
        assert len(fake.calls) <= 5
        await engine.aclose()


async def test_many_at_once_learn_the_same():
    async with Choosy() as fake:
        engine = make(fake.url)
        request = ask("say x", thinking=Thinking(tokens=2000))
        answers = await asyncio.gather(*(collect(engine, request) for _ in range(8)))
        assert all(answer.text == "x" for answer in answers)
        await engine.aclose()


async def test_a_temperature_of_the_profile_is_left_out_where_it_is_refused(fake):
    # As with settings that say `lacks = []` beside the newer version.
    engine = make(fake.url, replace(PROFILE, lacks=frozenset()))
    assert "temperature" not in await body_of(engine, fake, "say x")
    assert "temperature" in fake.bodies[0]
    assert "temperature" not in await body_of(engine, fake, "say y")
    assert len(fake.calls) == 3
    with pytest.raises(UnsupportedError):  # but the caller's own is never dropped in silence
        await collect(engine, ask("x", sampling=Sampling(temperature=0.5)))
    await engine.aclose()
