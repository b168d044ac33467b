"""Questions that a base does not answer: what abstention is measured by."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from athanor.rag.evaluation.corpus import Corpus
from athanor.rag.evaluation.drafts import drafts
from athanor.rag.lexical import match_terms

FOREIGN = 0.5
"""Share of a question's words that a passage may hold, at most, where the question is of another topic."""

WITHDRAWN = 0.75
"""The same, where the question is of a passage that is gone: its document still speaks of the matter."""

_TOPICS = (
    "How long should a soft-boiled egg cook?",
    "Which chess opening begins with the queen's gambit?",
    "Why do cats purr when they sleep?",
    "How many strings does a cello have?",
    "What causes the northern lights?",
    "Who painted the ceiling of the Sistine Chapel?",
    "How do bees tell each other where flowers are?",
    "When was the first marathon run at the modern Olympics?",
    "What is the offside rule in football?",
    "How deep is the Mariana trench?",
    "Which planets of the solar system have rings?",
    "How is sourdough bread kept from going flat?",
    "What vaccine ended smallpox?",
    "Why is the sea salty?",
    "How do you tie a bowline knot?",
    "Which volcano buried Pompeii?",
    "What do pandas eat besides bamboo?",
    "How far can an albatross fly without rest?",
    "Who wrote the opera about a barber in Seville?",
    "What temperature does chocolate melt at?",
    "How are diamonds cut and polished?",
    "When do swallows migrate to Africa?",
    "Which wood is a violin's front made of?",
    "How does a lighthouse lens focus its beam?",
    "What is the longest river of Siberia?",
    "How do figure skaters spin so fast?",
    "Which spices are in garam masala?",
    "Why do leaves turn red in autumn?",
    "How was the Suez canal dug?",
    "What does a tuba player do with the mouthpiece?",
)


Asked = tuple[str, str]
"""A question, and the id of the document that it is made of, or nothing."""


def foreign(corpus: Corpus, chance: random.Random) -> Iterator[Asked]:
    """Questions of other topics, as far as the base is not about one of them; in an order that `chance` draws."""
    for question in chance.sample(_TOPICS, len(_TOPICS)):
        if corpus.coverage(question) <= FOREIGN:
            yield question, ""


def withdrawn(corpus: Corpus, chance: random.Random) -> Iterator[Asked]:
    """Questions about what an earlier version of a document said and no passage says now."""
    for document, paragraph in corpus.withdrawn():
        for draft in drafts(paragraph, document.title, rarity=_all_alike, chance=chance):
            if draft.kind != "terms" and corpus.coverage(draft.text) <= WITHDRAWN:
                yield draft.text, document.id
                break


def _all_alike(words: Sequence[str]) -> Mapping[str, float]:
    """As rare as another: what tells a passage that is gone is in no passage."""
    return dict.fromkeys(words, 1.0)


def crossed(corpus: Corpus, questions: Sequence[str], chance: random.Random) -> Iterator[Asked]:
    """Near misses: questions of the base, each with a word of another one in place of its own rarest.

    No passage holds all of its words. That makes it likely, not sure, that none answers it.
    """
    pool = list(questions)
    chance.shuffle(pool)
    for question, other in pairwise(pool):
        mine, theirs = _rarest(corpus, question), _rarest(corpus, other)
        if mine is None or theirs is None or theirs.lower() in question.lower():
            continue
        made = " ".join(theirs if word.strip("?.,").lower() == mine else word for word in question.split())
        made = made if made.endswith("?") or not question.endswith("?") else f"{made}?"
        if made.lower() != question.lower() and corpus.coverage(made) < 1.0:
            yield made, ""


def _rarest(corpus: Corpus, question: str) -> str | None:
    weights = corpus.rarity(match_terms(question))
    known = {word: weight for word, weight in weights.items() if weight > 0 and len(word) > 2}
    return max(known, key=lambda word: (known[word], word)) if known else None
