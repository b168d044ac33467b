"""Answers to questions that mean the same: found by embedding, given where comparisons have shown that they may be."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anyio import to_thread

from athanor.engines import Embedder
from athanor.errors import AthanorError
from athanor.gateway.cache.agree import Signature, may_agree, same_text, signature
from athanor.gateway.cache.calibrate import FLOOR, WINDOW, Calibration
from athanor.gateway.cache.exact import Answers, Entry
from athanor.gateway.cache.index import QuestionIndex
from athanor.rag.arrays import Matrix
from athanor.rag.index import decode
from athanor.store.shadows import Shadow, Shadows
from athanor.types import EngineStatus

log = logging.getLogger(__name__)

SAME_COSINE = 0.90
"""Of two answers in different words that contradict nowhere."""
BACKLOG = 64
"""Answers that wait to be learnt from, at most; beyond it the newest are let go."""
PATIENCE = 0.25
"""Seconds that a request waits for the vector of its question. A slow embedder makes a miss, not a late answer."""
_GROUP = 32
"""Comparisons in one transaction, at most."""
_CHARACTERS = 3
"""Of a token, on the low side: what is longer is not read to its end."""


class Question:
    """What is compared of a request. `partition` is the key of everything but its wording."""

    __slots__ = ("_signature", "partition", "route", "text")

    def __init__(self, *, route: str, partition: bytes, text: str) -> None:
        self.route = route
        self.partition = partition
        self.text = text
        self._signature: Signature | None = None

    @property
    def signature(self) -> Signature:
        """Computed once, and only where it is needed: it takes some ten times as long as the key."""
        if self._signature is None:
            self._signature = signature(self.text)
        return self._signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A kept answer to a question that seems to mean the same."""

    entry: Entry
    similarity: float
    vector: Matrix
    """Of the question that was asked."""
    shadow: bool
    """Answer anew all the same, and compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    question: Question
    key: bytes
    entry: Entry
    match: Match | None


class Comparer:
    """Do two answers say the same? Whatever is unsure counts as different."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def same(self, one: str, two: str) -> bool:
        """Equal texts are the same; others where nothing contradicts and the meaning is near.

        Raises:
            AthanorError: the embedder failed.
        """
        if same_text(one, two):
            return True
        if not may_agree(one, two, longest=_CHARACTERS * self._embedder.profile.max_tokens):
            return False
        a, b = await vectors(self._embedder, [one, two], "document")
        return float(a @ b) >= SAME_COSINE


async def vectors(embedder: Embedder, texts: list[str], kind: Literal["query", "document"]) -> Matrix:
    """One row for each text."""
    embedded = await embedder.embed(texts, kind=kind)
    return decode(embedded.data, embedded.dimension)


class Semantic:
    """Finds answers by meaning, and learns from every miss behind its back.

    Args:
        shadows: where comparisons are kept; None keeps them in memory only.
        answers: the answers themselves; a question whose answer is gone is forgotten.
        allowed: share of false hits that may not be exceeded.
        share: of the hits, to be answered anew.
        draw: a number from 0 to 1, different every time.
    """

    def __init__(
        self,
        embedder: Embedder,
        shadows: Shadows | None,
        answers: Answers,
        *,
        allowed: float,
        share: float,
        draw: Callable[[], float],
    ) -> None:
        self._embedder = embedder
        self._shadows = shadows
        self._answers = answers
        self._comparer = Comparer(embedder)
        self._allowed = allowed
        self._share = share
        self._draw = draw
        self._index = QuestionIndex()
        self._calibrations: dict[str, Calibration] = {}
        self._lessons: deque[_Lesson] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._unsaved: list[Shadow] = []
        self._failed = ""
        self.lost = 0
        """Lessons let go."""

    def calibration(self, route: str) -> Calibration | None:
        """What is known about a route, once it has been read from the store."""
        return self._calibrations.get(route)

    @property
    def problem(self) -> str:
        """For people: why nothing is compared, or an empty string."""
        return self._failed

    def question(self, route: str, partition: bytes | None, text: str) -> Question | None:
        """What to compare, or None for a text that the embedder does not read to its end."""
        if partition is None:
            return None
        try:
            longest = _CHARACTERS * self._embedder.profile.max_tokens
        except AthanorError as error:  # there is none
            self._fail(error)
            return None
        if len(text) > longest:
            return None
        return Question(route=route, partition=partition, text=text)

    async def find(self, question: Question, *, max_age: float | None) -> Match | None:
        """A kept answer that may be given, if the route has a threshold and there is one above it."""
        if self._threshold(question) is None or not self._index.knows(question.partition, question.signature):
            return None
        if self._embedder.state().status is not EngineStatus.READY:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                vector = (await vectors(self._embedder, [question.text], "query"))[0]
        except (AthanorError, TimeoutError) as error:
            self._fail(error)
            return None
        threshold = self._threshold(question)  # it may have been taken away meanwhile
        found = None if threshold is None else self._nearest(question, vector, least=threshold, max_age=max_age)
        if found is None:
            return None
        entry, similarity = found
        return Match(entry=entry, similarity=similarity, vector=vector, shadow=self._draw() < self._share)

    def learn(self, question: Question, key: bytes, entry: Entry, match: Match | None) -> None:
        """Remember a question that was answered, and compare its answer with what the cache would have said. Later."""
        if len(self._lessons) >= BACKLOG:
            self.lost += 1
            return
        self._lessons.append(_Lesson(question=question, key=key, entry=entry, match=match))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="cache shadows")

    async def settle(self) -> None:
        """Wait until everything has been learnt."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait({self._worker})

    async def aclose(self) -> None:
        """Stop learning; what waits is let go."""
        self._lessons.clear()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _work(self) -> None:
        while self._lessons:
            lesson = self._lessons.popleft()
            try:
                await self._take(lesson)
                if not self._lessons or len(self._unsaved) >= _GROUP:
                    await self._save()
            except AthanorError as error:
                self._fail(error)
            except Exception:  # nobody waits for this; the next one may be fine
                log.exception("a cached answer was not compared")

    async def _take(self, lesson: _Lesson) -> None:
        question = lesson.question
        calibration = await self._ready(question.route)
        match = lesson.match
        compared: tuple[Entry, float] | None
        if match is not None:
            vector, compared = match.vector, (match.entry, match.similarity)
        else:
            vector = (await vectors(self._embedder, [question.text], "query"))[0]
            nearest = self._nearest(question, vector, least=FLOOR, max_age=None, other=lesson.key)
            # Once hits are given and only some are compared, misses are compared as seldom: a share of errors means
            # nothing if what it is taken of was chosen.
            skipped = calibration.threshold is not None and self._draw() >= self._share
            compared = None if nearest is None or skipped else nearest
        if compared is not None:
            entry, similarity = compared
            same = await self._comparer.same(entry.text(), lesson.entry.text())
            calibration.add(similarity, same=same)
            self._record(question.route, similarity, same)
        self._index.add(question.partition, lesson.key, vector, question.signature)
        self._failed = ""

    def _threshold(self, question: Question) -> float | None:
        calibration = self._calibrations.get(question.route)
        return None if calibration is None else calibration.threshold

    def _nearest(
        self, question: Question, vector: Matrix, *, least: float, max_age: float | None, other: bytes = b""
    ) -> tuple[Entry, float] | None:
        gone: list[bytes] = []

        def usable(key: bytes) -> bool:
            if self._answers.peek(key) is None:
                gone.append(key)
                return False
            return key != other and self._answers.peek(key, max_age=max_age) is not None

        found = self._index.nearest(question.partition, vector, question.signature, least=least, usable=usable)
        for key in gone:
            self._index.remove(key)
        if found is None:
            return None
        entry = self._answers.get(found[0])
        return None if entry is None else (entry, found[1])

    async def _ready(self, route: str) -> Calibration:
        """The calibration of `route`, with what earlier runs have compared."""
        known = self._calibrations.get(route)
        if known is not None:
            return known
        calibration = Calibration(allowed=self._allowed)
        if self._shadows is not None:
            shadows, embedder = self._shadows, self._embedder.profile.id
            for past in await to_thread.run_sync(lambda: shadows.latest(route=route, embedder=embedder, limit=WINDOW)):
                calibration.add(past.similarity, same=past.same)
        self._calibrations[route] = calibration
        return calibration

    def _record(self, route: str, similarity: float, same: bool) -> None:
        embedder = self._embedder.profile.id
        shadow = Shadow(route=route, embedder=embedder, similarity=similarity, same=same, at=time.time())
        self._unsaved.append(shadow)

    async def _save(self) -> None:
        """Write comparisons down, several at once."""
        rows, self._unsaved = self._unsaved, []
        if rows and self._shadows is not None:
            await to_thread.run_sync(self._shadows.insert, rows)

    def _fail(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if text != self._failed:
            log.warning("answers are not compared by meaning: %s", text)
        self._failed = text
