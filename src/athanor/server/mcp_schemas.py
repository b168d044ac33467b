"""What clients are told of the tools of `/mcp`: their descriptions, and the shapes of arguments and results.

Flat, without references and with few keywords: clients and models differ in what of JSON Schema they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TOOLS = (
    (
        "search",
        "Search documents",
        "Find the passages of the documents that answer a query, best first, with where each of them stands. "
        "`fetch` reads on from the id of a result.",
    ),
    (
        "ask",
        "Ask the documents",
        "Answer a question from the documents. Every sentence is cited, and what the documents do not say is said to "
        "be missing (`abstained`), with the nearest passages.",
    ),
    (
        "fetch",
        "Read a document",
        "Read the text around a result of `search` or a citation of `ask`, or a document from its beginning. "
        "`metadata.next` is the id to read on with.",
    ),
)
"""Name, title, description."""


def _object(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required]}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_NUMBER = {"type": "number"}
_SHARE = {"type": ["number", "null"]}
_WHOLE = {"type": "integer"}

_CITATION = _object(
    ("id", "source", "quote", "url"),
    id=_TEXT,
    document=_TEXT,
    version=_WHOLE,
    page={"type": ["integer", "null"]},
    place=_MAYBE,
    start=_WHOLE,
    end=_WHOLE,
    quote=_TEXT,
    score=_NUMBER,
    source=_TEXT,
    title=_TEXT,
    url=_TEXT,
    answer_start=_WHOLE,
    answer_end=_WHOLE,
)

RESULTS: dict[str, dict[str, Any]] = {
    "search": _object(
        ("results",),
        results=_list(
            _object(
                ("id", "title", "url", "text"),
                id=_TEXT,
                title=_TEXT,
                url=_TEXT,
                text=_TEXT,
                source=_TEXT,
                heading=_TEXT,
                place=_MAYBE,
                score=_NUMBER,
                attributes={"type": "object"},
                knowledge_base=_TEXT,
            )
        ),
    ),
    "ask": _object(
        ("answer", "abstained", "citations"),
        answer=_TEXT,
        abstained={"type": "boolean"},
        confidence=_SHARE,
        groundedness=_SHARE,
        citations=_list(_CITATION),
        nearest=_list(_CITATION),
        conflicts=_list(_object(("reason",), first=_CITATION, second=_CITATION, reason=_TEXT)),
        knowledge_base=_TEXT,
        trace=_TEXT,
    ),
    "fetch": _object(
        ("id", "title", "text", "url"),
        id=_TEXT,
        title=_TEXT,
        text=_TEXT,
        url=_TEXT,
        metadata=_object(
            source=_TEXT,
            document=_TEXT,
            version=_WHOLE,
            start=_WHOLE,
            end=_WHOLE,
            total=_WHOLE,
            next=_MAYBE,
            attributes={"type": "object"},
            knowledge_base=_TEXT,
        ),
    ),
}


def arguments(tool: str, names: Sequence[str], *, bound: bool) -> dict[str, Any]:
    """The arguments of a tool; `names` are the bases to choose from, unless the connection is `bound` to one."""
    base = {} if bound else {"knowledge_base": {"type": "string", "description": _choice(names)}}
    required = () if bound or len(names) == 1 else ("knowledge_base",)
    if tool == "search":
        limit = {"type": "integer", "minimum": 1, "maximum": 50, "default": 10, "description": "Results at most."}
        query = {"type": "string", "description": "What is looked for, in words or as a question."}
        # The base is not required of a search: some clients send a query and nothing else, and are told what is there.
        return _closed(_object(("query",), query=query, **base, limit=limit))
    if tool == "ask":
        question = {"type": "string", "description": "One whole question, understood without what was said before."}
        return _closed(_object(("question", *required), question=question, **base))
    return _closed(_object(("id",), id={"type": "string", "description": "An id from `search` or `ask`."}))


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "additionalProperties": False}


def _choice(names: Sequence[str]) -> str:
    if not names:
        return "The knowledge base. There is none yet."
    return f"The knowledge base: {', '.join(names[:100])}."
