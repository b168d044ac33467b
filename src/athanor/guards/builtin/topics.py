"""Topics of your own, each told by a few examples in the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from athanor.config import TopicSettings
from athanor.engines import Embedder
from athanor.guards.harms.topics import EVERYDAY, Topic, topic_of
from athanor.guards.parts import Parts
from athanor.guards.subject import Subject
from athanor.plugins.arrays import np
from athanor.types import NOTHING_FOUND, Context, Decision, Embeddings, Finding, Origin, Verdict

_PIECE = 800
"""Characters of a text that are embedded at once: what small embedders read."""
_MOST = 16
"""Pieces of one text; of a longer one, so many from all of it."""
THRESHOLD = 0.5


class TopicsGuard:
    """One category for each `[guards.topics.NAME]`: `topic.NAME`.

    Args:
        topics: by name.
        embedder: of the knowledge bases.
    """

    name = "topics"
    reach = None

    def __init__(self, topics: Mapping[str, TopicSettings], embedder: Embedder) -> None:
        self.categories = frozenset(f"topic.{name}" for name in topics)
        self._settings = dict(topics)
        self._embedder = embedder
        self._topics: dict[str, Topic] = {}
        self._making = asyncio.Lock()

    @classmethod
    def make(cls, parts: Parts) -> Self:
        """By the setting `guards.topics`. Examples are embedded with the first text."""
        return cls(parts.settings.guards.topics, parts.embedder)

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """The piece of the text that is most on each topic.

        Raises:
            AthanorError: the embedder cannot work now.
        """
        text = subject.plain
        if not self._settings or not text.strip():
            return NOTHING_FOUND
        async with self._making:
            if not self._topics:
                self._topics = await self._made()
        starts = range(0, len(text), max(_PIECE, -(-len(text) // _MOST)))
        embedded = await self._embedder.embed([text[at : at + _PIECE] for at in starts], kind="query")
        vectors = _rows(embedded)
        findings = []
        for name, topic in self._topics.items():
            chances = topic.probability(vectors)
            best = int(chances.argmax())
            start, end = subject.span(starts[best], min(starts[best] + _PIECE, len(text)))
            findings.append(
                Finding(
                    guard=self.name,
                    category=f"topic.{name}",
                    score=float(chances[best]),
                    start=start,
                    end=end,
                    reason=f"is on the topic {name}",
                    decision=Decision.FLAG if chances[best] >= THRESHOLD else Decision.ALLOW,
                )
            )
        return Verdict(findings=tuple(findings))

    async def _made(self) -> dict[str, Topic]:
        """Each topic, with the others' examples against it."""
        texts = [*EVERYDAY]
        for topic in self._settings.values():
            texts += [*topic.examples, *topic.against]
        embedded = await self._embedder.embed(texts, kind="query")
        vectors = dict(zip(texts, _rows(embedded), strict=True))
        found = {}
        for name, topic in self._settings.items():
            others = [text for other, one in self._settings.items() if other != name for text in one.examples]
            against = [text for text in (*EVERYDAY, *others, *topic.against) if text not in topic.examples]
            found[name] = topic_of(
                np.stack([vectors[text] for text in topic.examples]), np.stack([vectors[text] for text in against])
            )
        return found


def _rows(embedded: Embeddings) -> Any:
    return np.frombuffer(embedded.data, dtype="<f4").reshape(embedded.count, embedded.dimension)
