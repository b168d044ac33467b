"""The extractive mode: the sentences that answer the question, verbatim, or the admission that none does.

The cross-encoder reads single sentences, not passages: a sentence is a quarter of a passage's cost, and the decision
that matters is which sentence, and whether any. Words and rank pick the few that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from athanor.engines import Embedder, Reranker
from athanor.rag import calibration
from athanor.rag.arrays import np
from athanor.rag.calibration import Calibration
from athanor.rag.index import decode
from athanor.rag.lexical import content_stems, stems, words
from athanor.rag.passages import Sentence, cite, cite_whole, sentences_of
from athanor.types import Citation, Hit

PASSAGES = 5
"""Passages whose sentences are considered; fewer are wanted only when their sentences are long."""

READ = 10
"""Sentences that a model reads. From 8 on the answers no longer change (measured up to all of three passages)."""

NEAREST = 3
"""Passages that are shown where there is no answer."""

TELLING = 40
"""Characters of a passage that is worth showing; a bare heading is not."""

MARGIN = 1.0
"""A further sentence is cited if its log-odds are at most this far behind the best: 1.5 sentences on average instead
of 2.9, at .83 instead of .91 of the gold answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What the passages say to a question."""

    abstained: bool
    confidence: float
    """Probability that the passages hold the answer; see `Calibration.confidence`."""
    citations: tuple[Citation, ...]
    """Best passage first, in reading order inside a passage; empty when abstained."""
    nearest: tuple[Citation, ...] = ()
    """When abstained: the passages that came closest, at most `NEAREST`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A sentence that a model has read."""

    sentence: Sentence
    reading: float
    context: float
    rank: float
    odds: float
    """Of the three before; see `Calibration.sentence`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a decision rests on, for those who calibrate it or ask why."""

    readings: tuple[Reading, ...]
    """Best first."""
    best: float
    passage: float
    coverage: float
    """The arguments of `Calibration.confidence`."""


NOTHING = Extraction(abstained=True, confidence=0.0, citations=())


async def extract(
    question: str,
    hits: Sequence[Hit],
    *,
    embedder: Embedder,
    reranker: Reranker | None,
    max_sentences: int = 3,
    threshold: float | None = None,
) -> Extraction:
    """The 1 to `max_sentences` sentences of `hits` (best first) that answer `question`.

    Abstains when the confidence is under `threshold`; `None` means the calibrated one.
    """
    evidence = await weigh(question, hits, embedder=embedder, reranker=reranker)
    return decide(evidence, hits, fitted=_fitted(reranker), max_sentences=max_sentences, threshold=threshold)


def decide(
    evidence: Evidence | None,
    hits: Sequence[Hit],
    *,
    fitted: Calibration,
    max_sentences: int = 3,
    threshold: float | None = None,
) -> Extraction:
    """Answer or abstain on `evidence` about `hits`."""
    if evidence is None:
        return replace(NOTHING, nearest=nearest(hits, 0.0))
    confidence = fitted.confidence(evidence.best, evidence.passage, evidence.coverage)
    if confidence < (fitted.threshold if threshold is None else threshold):
        return replace(NOTHING, confidence=confidence, nearest=nearest(hits, confidence))
    chosen = choose(evidence, max_sentences)
    return Extraction(
        abstained=False,
        confidence=confidence,
        citations=tuple(cite(hits[sentence.passage], sentence, confidence) for sentence in chosen),
    )


def nearest(hits: Sequence[Hit], confidence: float) -> tuple[Citation, ...]:
    """The best passages, whole: something to look at, not an answer."""
    telling = [hit for hit in hits if len(hit.chunk.text.strip()) >= TELLING]
    return tuple(cite_whole(hit, confidence) for hit in telling[:NEAREST])


async def weigh(
    question: str, hits: Sequence[Hit], *, embedder: Embedder, reranker: Reranker | None
) -> Evidence | None:
    """Read the most promising sentences of `hits`; `None` if there is no sentence or no question."""
    fitted = _fitted(reranker)
    wanted = frozenset(content_stems(question))
    considered = hits[:PASSAGES]
    found = _candidates(question, wanted, considered, fitted) if wanted else []
    if not found:
        return None
    texts = [sentence.text for _, _, sentence in found]
    if reranker is not None:
        values = await reranker.score(question, texts)
    else:
        values = await _cosines(question, texts, embedder)
    readings = [
        Reading(sentence=s, reading=v, context=context, rank=rank, odds=fitted.sentence(v, context, rank))
        for v, (context, rank, s) in zip(values, found, strict=True)
    ]
    readings.sort(key=lambda r: (-r.odds, r.sentence.passage, r.sentence.ordinal))
    top = considered[readings[0].sentence.passage]
    if reranker is not None:
        (whole,) = await reranker.score(question, [_under_heading(top, top.chunk.text)])
    else:
        whole = top.dense if top.dense is not None else max(values)
    about = stems(f"{top.title} {top.chunk.heading} {top.chunk.text}")
    return Evidence(
        readings=tuple(readings), best=max(values), passage=whole, coverage=len(wanted & about) / len(wanted)
    )


def choose(evidence: Evidence, limit: int) -> list[Sentence]:
    """The sentences to cite: the best, and those hardly worse; never the same words twice."""
    top = evidence.readings[0].odds
    chosen: dict[str, Sentence] = {}
    for reading in evidence.readings:
        if len(chosen) == max(1, limit) or reading.odds < top - MARGIN:
            break
        chosen.setdefault(" ".join(reading.sentence.text.split()), reading.sentence)
    order = list(dict.fromkeys(sentence.passage for sentence in chosen.values()))
    return sorted(chosen.values(), key=lambda s: (order.index(s.passage), s.ordinal))


def _candidates(
    question: str, wanted: frozenset[str], hits: Sequence[Hit], fitted: Calibration
) -> list[tuple[float, float, Sentence]]:
    """(context, rank, sentence) of the sentences worth reading, at most `READ`."""
    everything = sentences_of(hits)
    # Where it was asked before (a list of questions, a picture of a conversation) is not what answers it.
    told = [s for s in everything if not _asks(s.text, question)]
    # A heading or a table's rule says nothing on its own, but a passage may consist of headings.
    sentences = [s for s in told if s.kind != "heading" and content_stems(s.text)]
    found: list[tuple[float, float, Sentence]] = []
    present = {(s.passage, s.ordinal): stems(s.text) for s in everything}
    for sentence in sentences or told:
        before = present.get((sentence.passage, sentence.ordinal - 1), frozenset())
        held = wanted & (present[sentence.passage, sentence.ordinal] | before)
        context = len(held) / len(wanted)
        found.append((context, hits[sentence.passage].score - hits[0].score, sentence))
    found.sort(key=lambda entry: (-fitted.sentence(0.0, entry[0], entry[1]), entry[2].passage, entry[2].ordinal))
    return found[:READ]


def _asks(text: str, question: str) -> bool:
    """Is `text` the same question, in the same words."""
    return text.rstrip().endswith("?") and [w.stem for w in words(text)] == [w.stem for w in words(question)]


async def _cosines(question: str, texts: Sequence[str], embedder: Embedder) -> list[float]:
    query = await embedder.embed([question], kind="query")
    sentences = await embedder.embed(texts, kind="document")
    products = decode(sentences.data, sentences.dimension) @ decode(query.data, query.dimension)[0]
    return [float(value) for value in np.asarray(products)]


def _under_heading(hit: Hit, text: str) -> str:
    """`text` with its heading path. For passages only: before a sentence, the heading drowns what the sentence says."""
    return f"{hit.chunk.heading}\n{text}" if hit.chunk.heading else text


def _fitted(reranker: Reranker | None) -> Calibration:
    return calibration.EMBEDDED if reranker is None else calibration.RERANKED
