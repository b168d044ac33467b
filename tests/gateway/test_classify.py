from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from athanor.config import RouteSettings
from athanor.engines import Engine
from athanor.errors import ConfigError, EngineUnavailableError, InputError
from athanor.gateway.classify import Classifier, Example, train
from athanor.gateway.route import Shared
from athanor.gateway.routes import Routes, build_route, classifier_path
from athanor.testing import HashEmbedder
from athanor.testing.engines import chat
from tests.engines.failing import FakeClock, FakeEngine, read

pytestmark = pytest.mark.anyio

_WORDS = {
    "greeting": ["hello", "hi", "morning", "evening", "friend", "welcome", "thanks", "bye", "nice", "day"],
    "sums": ["add", "subtract", "multiply", "divide", "number", "total", "percent", "root", "square", "seven"],
    "code": ["function", "loop", "variable", "compile", "class", "python", "error", "stack", "merge", "branch"],
}


def examples(each: int = 40, seed: int = 0) -> list[Example]:
    dice = random.Random(seed)
    found = []
    for label, words in _WORDS.items():
        for n in range(each):
            text = " ".join([*dice.sample(words, 4), *dice.sample(["the", "a", "of", "please", "now"], 2), str(n)])
            found.append(Example(text=text, label=label))
    return found


async def vector(text: str, embedder: HashEmbedder) -> bytes:
    return (await embedder.embed([text], kind="query")).data


async def test_learns_what_can_be_told_apart_and_says_how_well() -> None:
    embedder = HashEmbedder()
    seen = []

    async def progress(done: int, total: int) -> None:
        seen.append((done, total))

    found = await train(examples(), embedder, progress=progress)
    assert found.labels == ("code", "greeting", "sums")
    figures = found.figures
    assert figures["accuracy"] >= 0.9
    assert figures["accuracy_of_the_most_frequent"] == pytest.approx(1 / 3)
    assert (figures["held_out"], figures["trained_on"]) == (24, 96)
    assert {row["held_out"] for row in figures["classes"].values()} == {8}
    assert all(row["precision"] > 0.8 and row["recall"] > 0.8 for row in figures["classes"].values())
    assert seen[-1] == (120, 120)
    assert found.label(await vector("please multiply the total number", embedder)) == "sums"


async def test_labels_without_meaning_show_in_the_figures() -> None:
    dice = random.Random(1)
    noise = [Example(text=example.text, label=dice.choice("xy")) for example in examples()]
    found = await train(noise, HashEmbedder())
    assert found.figures["accuracy"] < 0.75


async def test_is_unsure_where_nothing_was_learned() -> None:
    embedder = HashEmbedder()
    found = await train(examples(), embedder, confidence=0.6)
    strange = await vector("the of now please", embedder)
    assert found.label(strange) is None
    assert found.guess(strange)[1] < 0.6


async def test_a_text_that_is_like_no_example_gets_no_label() -> None:
    embedder = HashEmbedder()
    found = await train(examples(), embedder)
    texts = [f"{word} quilt {word}s heron gravel" for word in ("zebra", "umbrella", "teapot", "cliff", "meadow")]
    strange = [await vector(text, embedder) for text in texts]
    assert [found.label(one) for one in strange] == [None] * 5
    assert any(found.guess(one)[1] >= found.confidence for one in strange)  # probability alone would have given one
    known = [await vector(example.text, embedder) for example in examples(seed=5)[::4]]
    assert sum(found.label(one) is not None for one in known) > 0.8 * len(known)


async def test_the_same_examples_give_the_same_weights() -> None:
    one = await train(examples(), HashEmbedder())
    two = await train(examples(), HashEmbedder())
    assert one.weights == two.weights
    assert one.figures["examples_sha256"] == two.figures["examples_sha256"]


async def test_a_text_that_comes_twice_is_not_held_out_from_itself() -> None:
    found = await train(examples() * 3, HashEmbedder())
    assert found.figures["held_out"] + found.figures["trained_on"] == 120


@pytest.mark.parametrize(
    ("given", "words"),
    [([], "only one label"), (examples()[:40], "only one label"), (examples()[:43], "too few of sums")],
)
async def test_too_little_is_refused(given: list[Example], words: str) -> None:
    if given:
        given = [*given[:40], *(Example(text=f"{e.text} x", label="sums") for e in given[40:])]
    with pytest.raises(InputError, match=words):
        await train(given, HashEmbedder())


async def test_is_kept_in_a_file_that_names_its_embedder(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    found = await train(examples(), embedder)
    path = tmp_path / "routes" / "r.json"
    found.save(path)
    again = Classifier.load(path, embedder=embedder.profile.id)
    for example in examples()[::10]:
        text = await vector(example.text, embedder)
        assert again.label(text) == found.label(text)
    assert again.figures == found.figures
    assert json.loads(path.read_text())["embedder"] == "hash-256"
    assert [file.name for file in path.parent.iterdir()] == ["r.json"]


async def test_another_embedder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    (await train(examples(), HashEmbedder())).save(path)
    with pytest.raises(ConfigError, match=r"trained on vectors of hash-256.*hash-64") as caught:
        Classifier.load(path, embedder=HashEmbedder(64).profile.id)
    assert "route train" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"labels": 3}'])
def test_a_damaged_file_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Classifier.load(path, embedder="hash-256")
    assert caught.value.where == str(path)


def test_without_a_file_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no classifier yet") as caught:
        Classifier.load(tmp_path / "r.json", embedder="hash-256")
    assert "route train" in (caught.value.hint or "")


SETTINGS = RouteSettings.model_validate(
    {"use": ["large"], "pick": "task", "tasks": [{"model": "small", "labels": ["greeting", "sums"]}]}
)


class Broken(HashEmbedder):
    async def embed(self, *arguments: Any, **more: Any) -> Any:
        raise EngineUnavailableError("the embedder is away")


async def engine_of(name: str) -> Engine:
    return FakeEngine(name=name)


@pytest.mark.parametrize(
    ("question", "target"),
    [
        ("hello friend nice day", "small"),
        ("python function loop error", "large"),
        ("the of now please", "large"),
        (" ", "large"),
    ],
)
async def test_requests_go_to_the_model_that_is_enough(tmp_path: Path, question: str, target: str) -> None:
    embedder = HashEmbedder()
    (await train(examples(), embedder, confidence=0.6)).save(classifier_path("r", SETTINGS, tmp_path))
    built = await build_route("r", SETTINGS, engine_of, Shared(embedder=embedder, clock=FakeClock()), tmp_path)
    found = await read(built, chat(question))
    assert found.span.attributes["target"] == target


async def test_a_broken_embedder_does_not_take_the_models_away(tmp_path: Path) -> None:
    (await train(examples(), HashEmbedder())).save(classifier_path("r", SETTINGS, tmp_path))
    built = await build_route("r", SETTINGS, engine_of, Shared(embedder=Broken(), clock=FakeClock()), tmp_path)
    found = await read(built, chat("hello friend"))
    assert found.span.attributes["target"] == "large"
    assert found.span.children[0].attributes == {"outcome": "engine_unavailable"}


async def test_a_new_classifier_serves_the_next_request(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    routes = Routes({"r": SETTINGS}, engine_of, home=tmp_path, embedder=embedder)
    with pytest.raises(ConfigError):
        await routes.get("r")
    path = routes.adopt("r", await train(examples(), embedder))
    assert path == tmp_path / "routes" / "r.json"
    found = await read(await routes.get("r"), chat("hello friend nice day"))
    assert found.span.attributes["target"] == "small"
    assert (await routes.describe("r"))["classifier"]["accuracy"] > 0.9
