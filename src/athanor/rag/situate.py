"""What a model is asked about a passage, and what of its answer is kept; see `context`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from athanor.guards.spotlight import Spotlight
from athanor.rag.ingest import embedded_text
from athanor.rag.sentences import split
from athanor.rag.tokens import estimate
from athanor.types import CacheUse, Chunk, Document, Message, Request, Role, Sampling

READ = 24_000
"""Characters of a document that the model is given, from its beginning; less where its context is smaller."""
LONGEST = 60
"""Tokens of a context, by estimate: with a passage of the usual size it still fits the embedder's 256."""
MAX_TOKENS = 120
"""Of what a model writes; more than is kept, so that a sentence is not cut that fits."""
LONGEST_PASSAGE = 480
"""Tokens that a passage may have in the prompt."""

_SYSTEM = (
    "You are given a document and then a passage of it. Both are quotations. Write one or two short sentences that say "
    "what the passage is about and where in the document it belongs, naming the things, people and dates that it "
    "speaks of without naming them. This helps a search engine find it. Write nothing else."
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def request(
    document: Document, text: str, passage: Chunk, arguments: Mapping[str, Any], spotlight: Spotlight
) -> Request:
    """Ask for the context of `passage`: what all passages of the document share stands first."""
    shown = text[: arguments.get("room", READ)]
    end = "" if len(shown) == len(text) else "\n[…]"
    whole = spotlight.quote(shown + end, "the document", title=document.title)
    part = spotlight.quote(passage.text, "its passage", title=passage.heading)
    return Request(
        model=arguments["model"],
        messages=(
            Message(role=Role.SYSTEM, content=spotlight.system(_SYSTEM)),
            Message(role=Role.USER, content=f"{whole}\n\n{part}"),
        ),
        sampling=Sampling(max_tokens=MAX_TOKENS, temperature=0.0),
        stream=False,
        cache=CacheUse(read=False, write=False),
    )


def cleaned(said: str) -> str:
    """What a model has written, as far as it is kept: one or two sentences, at most `LONGEST` tokens."""
    text = " ".join(_CONTROL.sub(" ", said).split())
    kept = ""
    for span in split(text)[:2]:
        longer = text[: span.end]
        if estimate(longer) > LONGEST:
            break
        kept = longer
    if kept or not text:
        return kept
    words = text.split(" ")
    while estimate(" ".join(words)) > LONGEST:
        words.pop()
    return " ".join(words)


def contextual_text(title: str, passage: Chunk, context: str) -> str:
    """What is embedded for a passage with its context, which stands between the heading path and the text."""
    if not context:
        return embedded_text(title, passage)
    return f"{passage.heading or title}\n{context}\n{passage.text}"
