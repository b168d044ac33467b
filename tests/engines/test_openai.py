from __future__ import annotations

import asyncio
import math
from array import array

import pytest
from pydantic import SecretStr

from athanor.engines import Timeouts, Upstream
from athanor.engines.adapters.openai import OpenAIEmbedder, OpenAIEngine
from athanor.errors import (
    ConfigError,
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)
from athanor.testing.engines import EngineConformance, chat, collect, context
from athanor.types import AnswerMode, EmbedderProfile, FinishReason, Profile
from tests.engines.upstream import KEY, FakeUpstream

pytestmark = pytest.mark.anyio

PROFILE = Profile(name="far", context=4096, licence="?", grounded=AnswerMode.GENERATIVE, json_schema=True, temperature=None, remote=True)


def make(url: str, **timeouts: float) -> OpenAIEngine:
    upstream = Upstream(url, api_key=SecretStr(KEY), timeouts=Timeouts(**timeouts))
    return OpenAIEngine(PROFILE, upstream, model="far-model")


@pytest.fixture
async def upstream():
    async with FakeUpstream().serve() as fake:
        yield fake


@pytest.fixture
async def engine(upstream):
    engine = make(upstream.url, first_token=1.0, between_tokens=0.3)
    yield engine
    await engine.aclose()


class TestOpenAIEngine(EngineConformance):
    loads_slowly = False

    @pytest.fixture
    async def engine(self, upstream):
        engine = make(upstream.url)
        await engine.start()
        yield engine
        await engine.aclose()

    def make_engine(self):
        return make("http://127.0.0.1:9/v1", connect=1.0)

    async def test_cancelling_while_it_loads(self):
        pytest.skip("an endpoint does not load; see test_closing_hangs_up")

    async def test_what_cannot_be_enforced_is_refused(self, engine):
        pytest.skip("an endpoint says itself what it cannot enforce")


async def test_what_is_sent(engine, upstream):
    await collect(engine, chat("Hello.", max_tokens=3, stop=("x",), top_p=0.5, seed=3))
    body = upstream.bodies[0]
    assert body["model"] == "far-model"
    assert body["stream_options"] == {"include_usage": True}
    assert (body["max_tokens"], body["stop"], body["top_p"], body["seed"]) == (3, ["x"], 0.5, 3)
    assert f"authorization: Bearer {KEY}" in upstream.headers[0]


async def test_usage_is_the_upstreams_own(engine):
    answer = await collect(engine, chat("one two three", max_tokens=50))
    assert answer.text == "You said: one two three 🌍"
    assert answer.usage.prompt_tokens == 8
    assert answer.usage.completion_tokens == 6


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, InputError, "refused the request"),
        (401, EngineRefusedError, "api_key"),
        (404, EngineRefusedError, "upstream"),
        (429, EngineUnavailableError, "in 7 s"),
        (500, EngineError, "HTTP 500"),
        (503, EngineUnavailableError, "busy"),
        (504, EngineTimeoutError, "timed out"),
    ],
)
async def test_refusals_are_mapped_and_hide_the_key(engine, status, kind, words):
    with pytest.raises(kind) as caught:
        await collect(engine, chat(f"status {status}"))
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert KEY not in repr(vars(engine))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("json", "no JSON"),
        ("drop", "middle of the answer"),
        ("error", "out of memory"),
        ("array", "no object"),
        ("endless", "without an end"),
    ],
)
async def test_a_broken_stream_is_an_engine_error(engine, how, words):
    with pytest.raises(EngineError, match=words) as caught:
        await collect(engine, chat(f"bad {how}"))
    assert KEY not in str(caught.value)
    assert engine.state().detail
    assert (await collect(engine, chat("Hello."))).finished
    assert not engine.state().detail


async def test_odd_shapes_are_survived(engine):
    answer = await collect(engine, chat("bad shapes"))
    assert answer.text == "half"
    assert answer.finished.reason is FinishReason.STOP


@pytest.mark.parametrize("how", ["slow", "silent"])
async def test_timeouts(engine, how):
    with pytest.raises(EngineTimeoutError):
        await collect(engine, chat(f"bad {how}"), seconds=3)


async def test_nobody_listens():
    engine = make("http://127.0.0.1:9/v1", connect=2.0)
    with pytest.raises(EngineUnavailableError, match="cannot be reached"):
        await collect(engine, chat("Hello."))
    await engine.aclose()


async def test_closing_hangs_up(upstream):
    engine = make(upstream.url)
    events = engine.run(chat("Tell a story", max_tokens=500), context())
    await anext(events)
    assert upstream.open == 1
    await events.aclose()
    for _ in range(100):
        if not upstream.open:
            break
        await asyncio.sleep(0.02)
    assert upstream.open == 0
    await engine.aclose()


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:11434", "http://"])
def test_an_endpoint_is_an_http_url(url):
    with pytest.raises(ConfigError):
        Upstream(url)


def test_a_password_in_the_url_is_not_shown():
    assert Upstream("https://me:pass@host/v1?key=1").shown == "https://host/v1"


EMBEDDER = EmbedderProfile(id="far", dimension=3, max_tokens=10, licence="?", query_prefix="q: ")


async def test_embeddings_are_ordered_and_of_unit_length(upstream):
    embedder = OpenAIEmbedder(EMBEDDER, Upstream(upstream.url), model="e")
    result = await embedder.embed(["a", "bb"] * 100, kind="document")
    assert (result.count, result.dimension, result.tokens) == (200, 3, 14)
    first, second = (array("f", row) for row in result.rows()[:2])
    assert math.isclose(sum(v * v for v in first), 1, abs_tol=1e-6)
    assert second[2] > first[2]
    await embedder.embed(["a"], kind="query")
    assert upstream.bodies[-1]["input"] == ["q: a"]
    with pytest.raises(EngineError, match="vectors of"):
        await embedder.embed(["short"], kind="document")
    await embedder.aclose()
