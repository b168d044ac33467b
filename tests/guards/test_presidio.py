"""Presidio behind our port, with an analyser that stands for the real one."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest

from athanor.errors import EngineError, MissingExtraError
from athanor.guards.builtin.presidio import PresidioGuard, category_of
from athanor.guards.normalise import subject_of
from athanor.types import Decision, Origin
from tests.guards.chains import context


class AnalyzerEngine:
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def analyze(self, *, text: str, language: str) -> list[SimpleNamespace]:
        assert language == "en"
        wanted = {"Jane Roe": ("PERSON", 0.85), "tomorrow": ("DATE_TIME", 0.85), "078-05-1120": ("US_SSN", 0.4)}
        return [
            SimpleNamespace(entity_type=kind, start=text.index(word), end=text.index(word) + len(word), score=score)
            for word, (kind, score) in wanted.items()
            if word in text
        ]


@pytest.fixture
def guard(monkeypatch):
    module = ModuleType("presidio_analyzer")
    module.AnalyzerEngine = AnalyzerEngine
    AnalyzerEngine.made = 0
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    return PresidioGuard.make(None)


def check(guard, text):
    return asyncio.run(guard.check(subject_of(text), Origin.USER, context())).findings


def test_findings_are_ours_and_count_the_given_text(guard):
    text = "Jane\u200b Roe comes tomorrow, 078-05-1120"
    found = check(guard, text)
    assert [(f.category, text[f.start : f.end], f.decision) for f in found] == [
        ("pii.person", "Jane\u200b Roe", Decision.FLAG),
        ("pii.national_id", "078-05-1120", Decision.ALLOW),
    ]
    assert {f.category for f in found} <= guard.categories


def test_the_analyser_is_made_once_and_only_for_a_text(guard):
    assert check(guard, "  ") == ()
    assert AnalyzerEngine.made == 0
    check(guard, "one")
    check(guard, "two")
    assert AnalyzerEngine.made == 1


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingExtraError, match="presidio"):
        PresidioGuard.make(None)


def test_an_analyser_that_cannot_start_is_an_error_with_a_hint(guard, monkeypatch):
    def exits(self) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(AnalyzerEngine, "__init__", exits)
    with pytest.raises(EngineError) as caught:
        check(guard, "Jane Roe")
    assert "spacy download" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("entity", "category"),
    [("EMAIL_ADDRESS", "pii.email"), ("UK_PASSPORT", "pii.passport"), ("IT_DRIVER_LICENSE", "pii.licence"),
     ("ES_NIF", "pii.national_id"), ("EMPLOYEE_NUMBER", "pii.other"), ("BADGE", "pii.other")],
)  # fmt: skip
def test_names_of_entities(entity, category):
    assert category_of(entity) == category
