"""Passages of a base to ask about, and whether a question is about one of them and no other."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from athanor.rag.evaluation.drafts import WORD, Draft, copied, drafts, overlap
from athanor.rag.evaluation.neighbours import Neighbours
from athanor.rag.lexical import STOPWORDS, content_stems, fold, idf, match_terms
from athanor.rag.permissions import ALL
from athanor.store import Store
from athanor.types import Chunk, Document, DocumentStatus, KnowledgeBase

SHORTEST = 120
"""Characters of a passage that is asked about: less is a heading or a line of a form."""
OTHERS = 2
"""Other documents that may hold as many of a question's words as its own: with more of them it could be of any."""
_LOOKED_AT = 20
"""Passages that are held against a question, the best by words."""
_SAMPLE = 300
"""Passages whose words can stand for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A passage and the document that it is of."""

    document: Document
    chunk: Chunk


class Corpus:
    """One base as a place to find questions in. Reads the store; use it in a thread."""

    def __init__(self, store: Store, base: KnowledgeBase, seed: int) -> None:
        self._store = store
        self._base = base
        self._seed = seed

    def places(self) -> Iterator[Place]:
        """All passages that are long enough, in an order drawn by the seed: one of each document, then a second one.

        A document that nearly repeats another is left out: what it is asked is answered there as well.
        """
        found = self._store.knowledge.documents(self._base.id, status=DocumentStatus.READY, limit=ALL)
        documents = [document for document in found if document.near is None and document.chunks]
        random.Random(self._seed).shuffle(documents)  # noqa: S311  a sample, no secret
        ordinal = 0
        while documents:
            left = []
            for document in documents:
                chunks = self._chunks(document)
                if ordinal < len(chunks):
                    yield Place(document=document, chunk=chunks[ordinal])
                if ordinal + 1 < len(chunks):
                    left.append(document)
            documents, ordinal = left, ordinal + 1

    def _chunks(self, document: Document) -> list[Chunk]:
        chunks = [one for one in self._store.chunks.of_document(document.id) if len(one.text) >= SHORTEST]
        self.chance(document.id).shuffle(chunks)
        return chunks

    def withdrawn(self) -> Iterator[tuple[Document, str]]:
        """Paragraphs of the version before the current one that no document holds any more, in an order of the seed."""
        found = self._store.knowledge.documents(self._base.id, status=DocumentStatus.READY, limit=ALL)
        changed = [document for document in found if document.version > 1]
        self.chance("withdrawn").shuffle(changed)
        for document in changed:
            before = self._store.knowledge.document_version(document.id, document.version - 1)
            old = self._store.blobs.read(before.text_sha256).decode("utf-8")
            now = " ".join(chunk.text for chunk in self._store.chunks.of_document(document.id))
            for paragraph in old.split("\n\n"):
                if len(paragraph) >= SHORTEST and paragraph not in now and overlap(paragraph, now) < 1.0:
                    yield document, paragraph

    def chance(self, what: str) -> random.Random:
        """A source of chance that is the same for the same seed and the same `what`."""
        return random.Random(f"{self._seed}:{what}")  # noqa: S311

    def vocabulary(self) -> list[str]:
        """Words that can stand for others: of more than one passage, the most frequent first."""
        counted: Counter[str] = Counter()
        for place in islice(self.places(), _SAMPLE):
            counted.update({fold(word) for word in WORD.findall(place.chunk.text)})
        return [
            word
            for word, count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
            if count > 1 and len(word) > 3 and word.isalpha() and word not in STOPWORDS
        ]

    def rarity(self, words: Sequence[str]) -> Mapping[str, float]:
        """See `drafts.Rarity`."""
        total, found = self._store.chunks.term_frequencies(self._base.id, words)
        return {word: idf(total, found[word]) if found[word] > 1 else 0.0 for word in words}

    def ask(self, place: Place, neighbours: Neighbours, known: Container[frozenset[str]] = ()) -> Draft | None:
        """A question about `place` by rules, none of `known` (see `sameness`); `None` where none is its own."""
        heading = place.chunk.heading or place.document.title
        chance = self.chance(place.chunk.id)
        made = drafts(place.chunk.text, heading, rarity=self.rarity, chance=chance, other=neighbours.other)
        return next((one for one in made if sameness(one.text) not in known and self.good(one.text, place)), None)

    def good(self, question: str, place: Place) -> bool:
        """Is `question` no copy of what it is about, and does it say what that is."""
        return not copied(question, place.chunk.text) and self.own(question, place)

    def own(self, question: str, place: Place) -> bool:
        """Do few other documents hold as many of the words of `question` as `place` does."""
        least = overlap(question, f"{place.chunk.heading}\n{place.chunk.text}") - 1e-9
        if least <= 0:
            return True
        rivals = {document for document, share in self._held(question) if share >= least}
        return len(rivals - {place.document.id}) <= OTHERS

    def coverage(self, question: str) -> float:
        """The largest share of the content words of `question` that one passage holds."""
        return max((share for _, share in self._held(question)), default=0.0)

    def _held(self, question: str) -> list[tuple[str, float]]:
        """(document id, share of the question's words) of the best passages by words."""
        found = self._store.chunks.search_text(self._base.id, match_terms(question), limit=_LOOKED_AT)
        chunks = self._store.chunks.get(self._base.id, [key for key, _ in found])
        return [(one.document, overlap(question, f"{one.heading}\n{one.text}")) for one in chunks]


def sameness(question: str) -> frozenset[str]:
    """What two questions have in common that are the same but for order, function words and endings."""
    return frozenset(content_stems(question))
