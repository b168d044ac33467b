"""Questions that people have asked and whose answer they have accepted: the best there are to measure a base by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from athanor.rag.condense import condensed
from athanor.rag.engine import ABSTENTION
from athanor.store import Store
from athanor.types import Content, KnowledgeBase, Message, Question, Role

MOST = 10_000
"""Verdicts that are looked at, the newest."""
_LONGEST = 2000
"""Characters of a question: a longer one is a pasted page."""


def accepted(store: Store, base: KnowledgeBase) -> tuple[list[Question], int]:
    """Questions from the answers of `base` that somebody rated up, and how many such ratings have no text.

    Only what was recorded can be used (`traces.content`, or a key that records). What the answer cited is relevant, as
    far as it still is in the base; an accepted abstention is a question that the base does not answer. Blocks.
    """
    found: dict[str, Question] = {}
    silent = 0
    verdicts = store.feedback.list(rating=1, limit=MOST)
    for trace in dict.fromkeys(verdict.trace for verdict in verdicts):
        content = store.contents.get(trace)
        if content is None:
            silent += 1
            continue
        made = _question(store, base, content)
        if made is not None:
            found.setdefault(made.text.casefold(), made)  # the newest verdict counts
    return list(found.values()), silent


def _question(store: Store, base: KnowledgeBase, content: Content) -> Question | None:
    text = " ".join(condensed(_messages(content.request)).split())
    if not text or len(text) > _LONGEST:
        return None
    answer = str(content.answer.get("content", ""))
    cited = {str(one.get("document", "")) for one in content.answer.get("citations", ())}
    documents = store.knowledge.documents_of(cited)
    own = {key: one for key, one in documents.items() if one.knowledge_base == base.id}
    if not own and (cited or not _abstained(store, base, content, answer)):
        return None  # of another base, or of documents that are gone
    # The ids of its documents are in its own, so that an erasure of one finds it.
    identity = "_".join(["q", content.trace, *sorted(own)])
    return Question(
        id=identity,
        base=base.id,
        text=text,
        relevant={one.source: 1.0 for one in own.values()},
        answer=answer if own else "",
        origin="feedback",
    )


def _abstained(store: Store, base: KnowledgeBase, content: Content, answer: str) -> bool:
    asked = store.knowledge.find(str(content.request.get("model", "")))
    return asked is not None and asked.id == base.id and answer.startswith(ABSTENTION)


def _messages(request: Mapping[str, Any]) -> list[Message]:
    """What was said, as far as it is text; what is empty was not recorded."""
    return [
        Message(role=Role(one["role"]), content=str(one.get("content", "")))
        for one in request.get("messages", ())
        if one.get("role") in (Role.USER, Role.ASSISTANT)
    ]
