"""A question of an evaluation, and which documents of a base it is about."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import orjson

from athanor.types import Document, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, and as much of the truth about it as is known."""

    id: str
    """Unique among the questions of an evaluation, and the same in the next one."""
    text: str
    relevant: Mapping[str, float] = field(default_factory=dict)
    """What answers it → grade (> 0): see `Names`."""
    answer: str = ""
    unanswerable: bool = False
    """The base has no answer, and to say so is right. Where this is not set and nothing is relevant, nobody knows."""

    @property
    def digest(self) -> str:
        """Tells whether a question of the same id is the same in all it is measured by."""
        facts = [self.text, sorted(self.relevant.items()), self.answer, self.unanswerable]
        return hashlib.sha256(orjson.dumps(facts)).hexdigest()[:16]

    @property
    def answerable(self) -> bool:
        """Is it known that the base holds an answer."""
        return not self.unanswerable and bool(self.relevant or self.answer)


def stored(question: Question) -> Asked:
    """A question that the base keeps, as one of an evaluation."""
    return Asked(
        id=question.id,
        text=question.text,
        relevant=question.relevant,
        answer=question.answer,
        unanswerable=not question.relevant and not question.answer,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the relevant names of one question mean in a base."""

    relevant: Mapping[str, float]
    """Sources, or else `source#chunk id`; never both."""
    passages: bool
    """They are passages."""
    unknown: tuple[str, ...]
    """Names of nothing in the base, or of several things."""


class Names:
    """From names in judgements to documents of a base.

    A name is a source, `source#chunk id`, a source without its suffix, the last part of one with or without it, or a
    title; the first of these that fits counts, and one that fits several documents fits none.
    """

    def __init__(self, documents: Iterable[Document], passages: Collection[str] = ()) -> None:
        """`passages` are the ids of those that are named and are there."""
        self._passages = passages
        kinds: list[defaultdict[str, set[str]]] = [defaultdict(set) for _ in range(5)]
        for document in documents:
            path = PurePosixPath(document.source)
            names = (document.source, str(path.with_suffix("")) if path.name else "", path.name, path.stem)
            for kind, name in zip(kinds, (*names, document.title.strip()), strict=True):
                kind[name].add(document.source)
        self._kinds = kinds

    def source(self, name: str) -> str | None:
        """The source that `name` stands for."""
        for kind in self._kinds:
            if found := kind.get(name):
                return next(iter(found)) if len(found) == 1 else None
        return None

    def of(self, relevant: Mapping[str, float]) -> Found:
        """What `relevant` means here. Where it names both passages and documents, all of them become documents."""
        documents: dict[str, float] = {}
        passages: dict[str, float] = {}
        unknown = []
        for name, grade in relevant.items():
            source, mark, chunk = name.rpartition("#")
            if (found := self.source(name)) is not None:
                documents[found] = max(grade, documents.get(found, 0.0))
            elif mark and chunk in self._passages and (found := self.source(source)) is not None:
                passages[f"{found}#{chunk}"] = grade
            else:
                unknown.append(name)
        if documents:
            for name, grade in passages.items():
                source = name.rpartition("#")[0]
                documents[source] = max(grade, documents.get(source, 0.0))
            return Found(relevant=documents, passages=False, unknown=tuple(unknown))
        return Found(relevant=passages, passages=bool(passages), unknown=tuple(unknown))
