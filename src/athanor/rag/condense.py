"""A follow-up question as one that stands alone, without a model: what it points at is taken from the talk before.

The rules and numbers here are from talks written by hand (`tests/rag/test_condense.py`), not from a measured set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from athanor.rag.lexical import content_stems, match_terms
from athanor.types import Message, Role

TURNS = 3
"""User turns back that are looked at."""

_PERSONS = frozenset("he she him his her hers".split())  # noqa: SIM905
_THINGS = frozenset("it they them its their theirs this that these those there one ones former latter".split())  # noqa: SIM905
_EXPLETIVE = re.compile(r"\bthere (?:is|are|was|were|will be)\b|\b(?:is|are|was|were) there\b", re.IGNORECASE)
_ELLIPSIS = re.compile(r"\s*(?:and|but|or|so|then|what about|how about|why|when|where|who|how)\b", re.IGNORECASE)
_INSTEAD = re.compile(r"\s*(?:and|or|(?:(?:and|but) )?(?:what|how) about)\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Z][\w'’-]*(?: (?:(?:of|the|de|van|von) )*[A-Z][\w'’-]*)*")
_WORD = re.compile(r"[^\W\d_]+")
_SHORT = 2
"""Content words up to which a question that begins like one cut short is one."""
_FULL = 5
"""Content words beyond which `it` and `this` are of the question itself."""


def condensed(messages: Sequence[Message]) -> str:
    """The last user message; where it points back, followed by what it points at.

    That is the names of the nearest earlier question that has any, else the content words of the one before. A name
    that takes the place of another ("and Paris?") goes with what was asked about that, without it.
    """
    asked = [message.content for message in messages if message.role is Role.USER and message.content.strip()]
    if not asked:
        return ""
    question, before = asked[-1], asked[-1 - TURNS : -1]
    if not before or not points_back(question):
        return question
    said = set(content_stems(question))
    for earlier in reversed(before):
        names = [name for name in _names(earlier) if not said.issuperset(content_stems(name))]
        if not names:
            continue
        named = {word for name in names for word in match_terms(name)}
        rest = [word for word in match_terms(earlier) if word not in named and not said.issuperset(content_stems(word))]
        if _INSTEAD.match(question) and _names(question):
            return " ".join([question, *rest])
        # The subject alone is not enough for "and when?": what was asked about it goes along.
        return " ".join([question, *names, *(rest if len(said) <= _SHORT else [])])
    carried = [word for word in match_terms(before[-1]) if not said.issuperset(content_stems(word))]
    return " ".join([question, *carried])


def points_back(question: str) -> bool:
    """Does `question` lean on what was said before: by a pronoun, or because it is cut short."""
    words = {word.lower() for word in _WORD.findall(_EXPLETIVE.sub(" ", question))}
    content, names = len(content_stems(question)), _names(question)
    if words & _PERSONS or (words & _THINGS and content <= _FULL):
        return not names or content <= _SHORT
    return bool(_ELLIPSIS.match(question)) and content <= _SHORT and not names[1:]


def _names(text: str) -> list[str]:
    """Capitalised words in a row; not what begins the sentence with a function word."""
    found = []
    for match in _NAME.finditer(text):
        words = match[0].split()
        while words and not _says(words[0]):
            words = words[1:]
        if words and not (match.start() == 0 and len(words) == 1 and len(match[0].split()) == 1):
            found.append(" ".join(words))
    return list(dict.fromkeys(found))


def _says(word: str) -> bool:
    """Is `word` no stop word."""
    return bool(set(content_stems(f"{word} x")) - {"x"})
