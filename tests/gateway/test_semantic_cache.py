"""The semantic cache: proof first, then hits; and what is never a hit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from athanor.config import Settings
from athanor.engines import Embedder
from athanor.engines.missing import MissingEmbedder
from athanor.errors import EngineError
from athanor.gateway.cache import Cache
from athanor.gateway.cache.agree import agree, may_agree, same_text, signature
from athanor.gateway.cache.calibrate import GRID
from athanor.gateway.cache.index import QuestionIndex
from athanor.rag.arrays import np
from athanor.store import Store
from athanor.store.shadows import Shadows
from athanor.testing import HashEmbedder
from athanor.testing.engines import context
from athanor.types import (
    AnswerMode,
    CacheUse,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    FinishReason,
    Image,
    Message,
    Profile,
    Request,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    Usage,
)

pytestmark = pytest.mark.anyio

ASKED = "which city is the biggest one of all france and its many departments"
AGAIN = "which city is the biggest one of all france and its many departments please"
OTHER = "how do tides and the moon belong together in physics lessons at school"


# What is compared word by word


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("What is 3 + 4?", "What is 3 + 5?"),
        ("Convert 5 miles to 3 decimals", "Convert 3 miles to 5 decimals"),
        ("Take 5% of it", "Take $5 of it"),
        ("Is it -5 outside?", "Is it 5 outside?"),
        ("Give me two examples", "Give me three examples"),
        ("When is the meeting on Monday?", "When is the meeting on Tuesday?"),
        ("What happened yesterday?", "What happened today?"),
        ("What is the capital of France?", "What is the capital of Peru?"),
        ("Does Alice owe Bob money?", "Does Bob owe Alice money?"),
        ("Paris population", "Rome population"),
        ("What does 'foo' mean?", "What does 'bar' mean?"),
        ("What does `a_b` do?", "What does `a_c` do?"),
        ("Delete /tmp/a", "Delete /tmp/b"),
        ("Who is a@x.org?", "Who is b@x.org?"),
        ("what is the weather in rome", "what is the weather in oslo"),
        ("flights to new york", "flights to los angeles"),
        ("Is it safe?", "Is it not safe?"),
        ("Why does it work?", "Why doesn't it work?"),
        ("It works with sugar", "It works without sugar"),
        ("Who wrote it?", "When was it written?"),
        ("How many are there?", "How are they there?"),
        ("Can it swim?", "How can it swim?"),
        ("Translate this text", "Summarise this text"),
        ("Can you translate this text?", "Can you summarise this text?"),
        ("Please translate what he said", "Please summarise what he said"),
        ("Which is the highest one?", "Which is the lowest one?"),
        ("What did she do before lunch?", "What did she do after lunch?"),
    ],
)
def test_questions_that_are_not_the_same(one: str, two: str) -> None:
    assert not agree(signature(one), signature(two))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("What is the capital of France?", "what's the capital of France"),
        ("Please tell me what the capital of France is", "What is the capital of France?"),
        ("Which city is it?", "What city is it?"),
        ("Could you translate this text?", "Please translate this text"),
        ("It costs 1,000 euro", "The price is 1000 euro"),
        ("My card is broken", "I have a broken card"),
    ],
)
def test_questions_that_may_be_the_same(one: str, two: str) -> None:
    assert agree(signature(one), signature(two))


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("Paris.", "It is Paris.", True),
        ("Paris.", "It is Rome.", False),
        ("There are 5.", "There are 6.", False),
        ("Yes, it does.", "No, it does.", False),
        ("It does work.", "It does not work.", False),
        ("Use `a_b`.", "Use `a_c`.", False),
        ("The red team won the last big match there.", "The red team of Peru won the last big match there.", False),
        ("The red team won the last big match there.", "The red team won that last big match there.", True),
        ("Air is denser than steam.", "Steam is denser than air.", False),
        ("It is legal there.", "It is illegal there.", False),
        ("The estate pays off the debt.", "The heirs pay off the debt.", False),
        ("Humans and apes evolved from a common ancestor.", "Humans evolved from apes.", False),
        ("The sky is blue in summer.", "In summer the sky is blue.", False),
        ("On Monday.", "On Tuesday.", False),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ('{"a": 1}', '{"a": "1"}', False),
        ('{"a": "x"}', "a is x", False),
        ("word " * 300, "word " * 301, False),
    ],
)
def test_answers_that_contradict(one: str, two: str, expected: bool) -> None:
    assert may_agree(one, two, longest=1000) is expected
    assert may_agree(two, one, longest=1000) is expected


@pytest.mark.parametrize(
    "unit", ["a", "a.", "'", '"a', "$", "$ ", "-", "1,", "1.", "x'y ", "@", "a1", "“", "can you please ", "how "]
)
def test_no_text_takes_its_length_squared(unit: str) -> None:
    assert signature(unit * (40_000 // len(unit))).denials == 0  # would else not end before the time limit


def test_space_around_and_a_full_stop_do_not_matter() -> None:
    assert same_text(" It is Paris.\n", "It is Paris")
    assert not same_text("It is Paris", "It is paris")


def test_the_index_finds_the_nearest_that_agrees_and_forgets() -> None:
    index = QuestionIndex(limit=3)
    plain, other = signature("a b"), signature("a 5")
    vectors = np.eye(4, dtype=np.float32)

    def find(vector: int, sig: Any = plain, part: bytes = b"p") -> Any:
        return index.nearest(part, vectors[vector], sig, least=0.5, usable=lambda _: True)

    index.add(b"p", b"a", vectors[0], plain)
    index.add(b"p", b"b", vectors[1], other)
    index.add(b"q", b"c", vectors[2], plain)
    assert find(0) == (b"a", 1.0)
    assert find(1) is None  # the words do not agree
    assert find(1, other) == (b"b", 1.0)
    assert find(2) is None  # in another partition
    assert index.nearest(b"p", vectors[0], plain, least=0.5, usable=lambda _: False) is None
    index.add(b"p", b"d", vectors[3], plain)  # over the limit: the oldest goes
    assert find(0) is None
    assert find(1, other) == (b"b", 1.0)
    assert find(3) == (b"d", 1.0)
    assert len(index) == 3
    for i in range(10):
        index.add(b"p", bytes([i]), vectors[i % 4], plain)
    assert len(index) == 3
    assert index.knows(b"p", plain)
    assert not index.knows(b"q", plain)


# Through the cache


class Oracle:
    """Answers by a table; counts what it was asked."""

    def __init__(self, answers: dict[str, str] | None = None, *, reason: FinishReason = FinishReason.STOP) -> None:
        self.answers = answers or {}
        self.reason = reason
        self.profile = Profile(name="m", context=4096, licence="none", grounded=AnswerMode.EXTRACTIVE)
        self.asked: list[str] = []

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        self.asked.append(request.question)
        yield TextDelta(text=self.answers.get(request.question, "Paris."), usage=Usage(cost=0.25))
        yield Finished(reason=self.reason)

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="fake")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Stuck(HashEmbedder):
    """An embedder that never answers, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error

    async def embed(self, *args: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()


@pytest.fixture
def shadows(tmp_path: Path) -> Iterator[Shadows]:
    store = Store.open(f"sqlite:///{tmp_path}/athanor.db", blobs=tmp_path / "blobs")
    yield Shadows(store.database)
    store.close()


Maker = Callable[..., Any]


@pytest.fixture
async def make(shadows: Shadows) -> Any:
    """`await make()`: a semantic cache over the same store, whose draws never fall on a shadow unless said so."""
    made: list[Cache] = []

    async def making(
        *, embedder: Embedder | None = None, draw: float = 0.99, clock: Callable[[], float] | None = None, **cache: Any
    ) -> Cache:
        settings = Settings.model_validate({"cache": {"mode": "semantic", **cache}})
        used = embedder or HashEmbedder()
        await used.start()
        options: dict[str, Any] = {} if clock is None else {"clock": clock}
        made.append(Cache(settings, embedder=used, shadows=shadows, draw=lambda: draw, **options))
        return made[-1]

    yield making
    for cache in made:
        await cache.aclose()


def prove(shadows: Shadows, count: int = 1000) -> None:
    """So many comparisons without an error, as of earlier days."""
    one = shadows.add(route="m", embedder="hash-256", similarity=0.97, same=True)
    shadows.insert([one] * (count - 1))


def ask(text: str, **changes: Any) -> Request:
    return replace(Request(model="m", messages=(Message(role=Role.USER, content=text),)), **changes)


async def drain(cache: Cache, engine: Oracle, request: Request | str, *, scope: str = "s") -> list[Event]:
    request = ask(request) if isinstance(request, str) else request
    async with asyncio.timeout(10):
        async with aclosing(cache.through(engine, request, context(), scope)) as events:
            found = [event async for event in events]
        await cache.settle()
    return found


def kind(events: list[Event]) -> str:
    first = events[0]
    return first.cached if isinstance(first, Started) else ""


async def test_it_stays_off_until_it_is_proved(make: Maker, shadows: Shadows) -> None:
    cache, engine = await make(), Oracle()
    assert kind(await drain(cache, engine, ASKED)) == ""
    assert kind(await drain(cache, engine, AGAIN)) == ""
    assert engine.asked == [ASKED, AGAIN]
    (row,) = shadows.latest(route="m", embedder="hash-256", limit=9)
    assert row.same
    assert 0.9 < row.similarity < 1
    state = cache.states()["m"]
    assert (state.threshold, state.samples, state.errors, state.misses, state.hits) == (None, 1, 0, 2, 0)
    assert state.bound > 0.9


async def test_once_proved_it_answers(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(), Oracle()
    await drain(cache, engine, ASKED)
    events = await drain(cache, engine, AGAIN)
    assert events == [Started(target="m", cached="semantic"), TextDelta(text="Paris."), Finished()]
    assert engine.asked == [ASKED]
    state = cache.states()["m"]
    assert (state.hits, state.semantic, state.threshold, state.samples) == (1, 1, GRID[0], 1000)
    assert kind(await drain(cache, engine, ASKED)) == "exact"
    assert kind(await drain(cache, engine, OTHER)) == ""


async def test_the_proof_of_another_embedder_or_route_is_none(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(embedder=HashEmbedder(512)), Oracle()
    await drain(cache, engine, ASKED)
    assert kind(await drain(cache, engine, AGAIN)) == ""
    other = replace(ask(ASKED), model="n")
    cache = await make()
    await drain(cache, engine, other)
    assert kind(await drain(cache, engine, replace(ask(AGAIN), model="n"))) == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ask(ASKED), ask(ASKED.replace("many", "5"))),
        (ask(ASKED), ask(f"{ASKED} not")),
        (ask(f"{ASKED} in Nice"), ask(f"{ASKED} in Lyon")),
        (ask(ASKED), ask(AGAIN, json_schema={"type": "object"})),
        (ask(ASKED), ask(AGAIN, messages=(Message(role=Role.SYSTEM, content="x"), *ask(AGAIN).messages))),
        (ask(ASKED, tools=(Tool(name="f", parameters={}),)), ask(AGAIN, tools=(Tool(name="f", parameters={}),))),
        (ask(ASKED, logprobs=1), ask(AGAIN, logprobs=1)),
        (ask(ASKED), ask(AGAIN, messages=(*ask(AGAIN).messages, Message(role=Role.ASSISTANT, content="well")))),
        (ask(ASKED), ask(AGAIN, cache=CacheUse(read=False))),
    ],
    ids=["number", "negation", "name", "schema", "system", "tools", "logprobs", "not last", "no-cache"],
)
async def test_never_by_meaning(make: Maker, shadows: Shadows, first: Request, second: Request) -> None:
    prove(shadows)
    cache, engine = await make(), Oracle()
    await drain(cache, engine, first)
    assert kind(await drain(cache, engine, second)) == ""
    assert len(engine.asked) == 2


async def test_pictures_are_never_compared_by_meaning(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(), Oracle()
    for text in (ASKED, AGAIN):
        parts = (Text(text=text), Image(data="AA=="))
        message = Message(role=Role.USER, content=text, parts=parts)
        assert kind(await drain(cache, engine, ask(text, messages=(message,)))) == ""
    assert len(engine.asked) == 2


async def test_meaning_does_not_cross_scopes(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(), Oracle()
    await drain(cache, engine, ASKED, scope="a")
    assert kind(await drain(cache, engine, AGAIN, scope="b")) == ""
    assert len(shadows.latest(route="m", embedder="hash-256", limit=2000)) == 1000  # nor was anything compared
    assert kind(await drain(cache, engine, AGAIN, scope="a")) == "semantic"


async def test_a_share_of_hits_is_answered_anew_and_recorded(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(draw=0.01), Oracle({AGAIN: "Lyon."})
    await drain(cache, engine, ASKED)
    events = await drain(cache, engine, AGAIN)
    assert kind(events) == ""
    assert events[0] == TextDelta(text="Lyon.", usage=Usage(cost=0.25))
    assert [row.same for row in shadows.latest(route="m", embedder="hash-256", limit=2)] == [True, False]
    assert cache.states()["m"].shadows == 1
    assert kind(await drain(cache, engine, AGAIN)) == "exact"


async def test_it_switches_itself_off_when_answers_differ(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache = await make(draw=0.01)
    words = ["red", "blue", "green", "pink", "grey", "brown", "black", "white", "gold", "teal"]
    story = " ".join(f"word{chr(97 + i)}" for i in range(26))  # so long that one word more changes little
    questions = [f"{ASKED} {story} {' '.join(words[: i + 1])}" for i in range(len(words))]
    engine = Oracle({question: f"It is {word}." for question, word in zip(questions, words, strict=True)})
    for question in questions:
        await drain(cache, engine, question)
    assert cache.states()["m"].threshold is None
    assert cache.states()["m"].errors >= 5
    again = await make(draw=0.99)  # and remembers
    for question in questions[:2]:
        assert kind(await drain(again, engine, question)) == ""


async def test_once_on_misses_are_compared_as_seldom_as_hits(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(draw=0.99), Oracle()
    await drain(cache, engine, ASKED)
    await drain(cache, engine, ask(AGAIN, cache=CacheUse(read=False)))
    assert len(shadows.latest(route="m", embedder="hash-256", limit=2000)) == 1000


async def test_a_stuck_embedder_delays_nobody(make: Maker, shadows: Shadows) -> None:
    cache, engine = await make(embedder=Stuck()), Oracle()
    for text in (ASKED, AGAIN):
        async with asyncio.timeout(2):
            async with aclosing(cache.through(engine, ask(text), context(), "s")) as events:
                assert [event async for event in events][-1] == Finished()
    assert engine.asked == [ASKED, AGAIN]
    async with asyncio.timeout(2):
        await cache.aclose()


async def test_a_broken_embedder_leaves_the_exact_cache(make: Maker) -> None:
    cache, engine = await make(embedder=Stuck(EngineError("no weights"))), Oracle()
    await drain(cache, engine, ASKED)
    assert kind(await drain(cache, engine, ASKED)) == "exact"
    assert cache.states()["m"].problem == "no weights"
    cache = await make(embedder=MissingEmbedder(EngineError("none here")))
    for expected in ("", "exact"):
        assert kind(await drain(cache, engine, ASKED)) == expected
    assert cache.states()["m"].problem == "none here"
    cache = Cache(Settings.model_validate({"cache": {"mode": "semantic"}}))
    await drain(cache, engine, ASKED)
    assert cache.states()["m"].problem == "There is no embedder."


async def test_a_question_goes_with_its_answer(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    now = [0.0]
    cache, engine = await make(clock=lambda: now[0], ttl_s=60), Oracle()
    await drain(cache, engine, ASKED)
    now[0] = 30.0
    assert kind(await drain(cache, engine, ask(AGAIN, cache=CacheUse(max_age=30, write=False)))) == ""
    assert kind(await drain(cache, engine, ask(AGAIN, cache=CacheUse(max_age=31)))) == "semantic"
    now[0] = 61.0
    assert kind(await drain(cache, engine, AGAIN)) == ""


async def test_what_was_cut_off_is_not_given_to_another_question(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(), Oracle(reason=FinishReason.LENGTH)
    await drain(cache, engine, ASKED)
    assert kind(await drain(cache, engine, ASKED)) == "exact"
    assert kind(await drain(cache, engine, AGAIN)) == ""


async def test_a_question_longer_than_the_embedder_reads_is_not_compared(make: Maker, shadows: Shadows) -> None:
    prove(shadows)
    cache, engine = await make(), Oracle()
    for ending in ("red", "blue"):
        assert kind(await drain(cache, engine, f"{'word ' * 600}{ending}")) == ""
    assert len(shadows.latest(route="m", embedder="hash-256", limit=2000)) == 1000
