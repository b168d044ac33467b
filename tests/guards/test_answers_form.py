"""Answers that decline, and answers that are not the JSON they should be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from athanor.guards.builtin.refusal import RefusalGuard
from athanor.guards.builtin.schema import SchemaGuard
from athanor.guards.normalise import subject_of
from athanor.types import Origin, Request
from tests.guards.chains import context


def declines(text: str, origin: Origin = Origin.MODEL) -> float:
    return asyncio.run(RefusalGuard().check(subject_of(text), origin, context())).score


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist with this request.",
        "As an AI language model, I cannot browse the web.",
        "Sorry, but I can't provide instructions for this.",
        "Unfortunately, I am unable to share that.",
        "I must decline to answer.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Ich kann dir dabei leider nicht helfen.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas não posso ajudar com isso.",
        "Het spijt me, maar daar kan ik je niet bij helpen.",
        "Przepraszam, ale nie mogę w tym pomóc.",
        "Извините, но я не могу помочь с этим.",
        "Üzgünüm, bu konuda yardımcı olamam.",
        "抱歉，我无法提供帮助。",
        "申し訳ありませんが、お手伝いできません。",
        "죄송하지만 도와드릴 수 없습니다.",
    ],
)
def test_an_answer_that_declines_is_told_in_many_languages(text: str) -> None:
    assert declines(text) >= 0.9
    assert declines(text, Origin.USER) == 0


@pytest.mark.parametrize(
    "text",
    [
        "The court said it cannot assist the applicant.",
        "I can't help but admire her work.",
        "I'm sorry to hear that you are feeling down.",
        "As an AI language model, I can write this for you: …",
        "He said: “I cannot answer that.”",
        "Ich kann das gern für dich übersetzen.",
        "Sorry for the delay. The answer is 4.",
        "No, the shop is closed on Sundays.",
    ],
)
def test_other_answers_are_not_taken_for_refusals(text: str) -> None:
    assert declines(text) == 0


def test_only_the_beginning_counts() -> None:
    assert declines("The tower is 300 metres high. " * 10 + "I'm sorry, but I can't help with more.") == 0


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["a", "b", 1]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 2},
        "place": {"anyOf": [{"type": "null"}, {"type": "number"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string"}},
}


def wrong(text: str, schema: dict[str, Any] | None = SCHEMA, origin: Origin = Origin.MODEL) -> str:
    request = Request(model="m", messages=(), json_schema=schema)
    guard = SchemaGuard().bound(request, context())
    verdict = asyncio.run(guard.check(subject_of(text), origin, context()))
    return verdict.findings[0].reason if verdict.findings else ""


@pytest.mark.parametrize(
    "value",
    [{"name": "x"}, {"name": "x", "age": 3.0, "kind": 1, "tags": ["a"], "place": None}, {"name": "x", "place": 1.5}],
)
def test_an_answer_that_satisfies_its_schema_is_let_be(value: Any) -> None:
    assert wrong(json.dumps(value)) == ""


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no json", "no JSON"),
        ("[]", "#/type"),
        ("{}", "#/required"),
        ('{"name": ""}', "#/properties/name/minLength"),
        ('{"name": "x", "age": -1}', "#/properties/age/minimum"),
        ('{"name": "x", "age": true}', "#/properties/age/type"),
        ('{"name": "x", "kind": true}', "#/properties/kind/enum"),
        ('{"name": "x", "tags": [1]}', "type"),
        ('{"name": "x", "tags": ["a", "b", "c"]}', "#/properties/tags/maxItems"),
        ('{"name": "x", "place": "y"}', "#/properties/place/anyOf"),
        ('{"name": "x", "secret-4711": 1}', "#/additionalProperties"),
        ('{"name": "x"', "no JSON"),
    ],
)
def test_what_is_wrong_is_said_and_not_what_was_said(value: str, why: str) -> None:
    assert why in wrong(value)
    assert "4711" not in wrong(value)
    assert wrong(value, origin=Origin.USER) == ""
    assert wrong(value, schema=None) == ""


def test_a_schema_that_leads_outside_or_in_a_circle_is_no_trouble() -> None:
    assert wrong("1", {"$ref": "https://evil.example/schema"}) == ""
    assert wrong("1", {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}) == ""
    assert wrong("[" * 100_000, {})
    assert wrong(json.dumps("a" * 40 + "!"), {"pattern": "^(a+)+$"}) == "the answer does not satisfy #/pattern"
