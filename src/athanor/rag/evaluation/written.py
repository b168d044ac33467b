"""Questions that a model writes about a passage, and what one must satisfy before it is believed."""

from __future__ import annotations

import re
import unicodedata

import orjson

from athanor.guards.spotlight import Spotlight
from athanor.rag.evaluation.corpus import Place
from athanor.types import CacheUse, Message, Request, Role, Sampling

_SYSTEM = (
    "You write test questions for a search engine. You are given a passage, which is a quotation. "
    "Write one question that the passage answers, as somebody would ask it who has never seen the "
    "passage: in other words than its own, naming what it is about, never saying 'the passage' or 'the text'. Then "
    "copy the few words of the passage that answer it."
)
_PLAIN = "Write two lines:\nQuestion: ...\nAnswer: ..."
_SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}
_LINES = re.compile(r"question\s*:\s*(?P<question>.+?)\s*\n\s*answer\s*:\s*(?P<answer>.+)", re.IGNORECASE)
_POINTS_AT_TEXT = re.compile(
    r"\b(?:the|this|that|given|above) (?:passage|text|document|article|excerpt|paragraph|author|table|section)\b",
    re.IGNORECASE,
)
_LONGEST = 400
"""Characters of a question or of the words that answer it."""


def request(place: Place, model: str, *, schema: bool, spotlight: Spotlight) -> Request:
    """Ask `model` for a question about `place`; `schema` where it can be held to JSON."""
    heading = place.chunk.heading or place.document.title
    form = "Answer as JSON with `question` and `answer`." if schema else _PLAIN
    return Request(
        model=model,
        messages=(
            Message(role=Role.SYSTEM, content=spotlight.system(f"{_SYSTEM} {form}")),
            Message(role=Role.USER, content=spotlight.quote(place.chunk.text, "the passage", title=heading)),
        ),
        sampling=Sampling(max_tokens=160, temperature=0.0),
        json_schema=_SCHEMA if schema else None,
        stream=False,
        cache=CacheUse(read=False, write=False),
    )


def parsed(text: str) -> tuple[str, str] | None:
    """The question and the answer that a model has written; `None` where that is neither JSON nor two lines."""
    try:
        said = orjson.loads(text[text.index("{") : text.rindex("}") + 1])
        question, answer = said["question"], said["answer"]
    except (ValueError, KeyError, TypeError):
        match = _LINES.search(text)
        if match is None:
            return None
        question, answer = match["question"], match["answer"].splitlines()[0]
    if not isinstance(question, str) or not isinstance(answer, str):
        return None
    return " ".join(question.split()), " ".join(answer.split())


def fault(question: str, answer: str, place: Place) -> str:
    """What is wrong with a question, for people; empty where nothing is."""
    if not 10 <= len(question) <= _LONGEST:
        return "The question is too short or too long."
    if _POINTS_AT_TEXT.search(question):
        return "The question speaks of its passage, which nobody sees who asks."
    if not answer or len(answer) > _LONGEST:
        return "There is no short answer."
    if _letters(answer) not in _letters(place.chunk.text):
        return "The answer is not in the passage."
    if _letters(answer) in _letters(question):
        return "The question gives its answer away."
    return ""


def _letters(text: str) -> str:
    """Letters and digits in lower case: spacing, hyphens and quotation marks are a matter of taste."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", text).casefold())
