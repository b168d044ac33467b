"""Questions that need two passages: what the second search asks for, and how both results become one.

"Who designed the bridge that Avonmouth is known for?" finds the passage about Avonmouth, which names the bridge; a
second search for that name finds its designer. The bridge is a name in the first passages that the question has not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from athanor.rag.lexical import content_stems

FIRST = 3
"""Passages that are searched for names."""
NAMES = 3
"""Names that the second search adds to the question."""
COST = 0.5
"""Deviations that a passage of the second search is behind one of the first with the same score.

A guess, as the other numbers here: no set of questions that need two passages was at hand. Where one passage is enough,
a second search loses nDCG@10, on some 160 questions each: SQuAD .018 (.016 at a cost of .25, .007 at 1), FiQA .026
(.027, .033). So it is for bases whose own questions need it."""

_NAME = re.compile(r"[A-Z][\w'’-]*(?: (?:(?:of|the|de|van|von|and) )*[A-Z][\w'’-]*)*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def second_query(question: str, passages: Sequence[str]) -> str | None:
    """`question` with the names that lead on, from the first passages; `None` if there is no such name.

    Names of sentences that share more words with the question come first.
    """
    asked = set(content_stems(question))
    found: dict[str, tuple[int, int]] = {}
    for place, passage in enumerate(passages[:FIRST]):
        for sentence in _SENTENCE.split(passage):
            shared = len(asked & set(content_stems(sentence)))
            if not shared:
                continue
            for match in _NAME.finditer(sentence):
                own = content_stems(match[0])
                if not own or asked.issuperset(own) or (match.start() == 0 and " " not in match[0]):
                    continue  # said already, or a capital that only begins the sentence
                found[match[0]] = min(found.get(match[0], (0, 0)), (-shared, place))
    names = sorted(found, key=lambda name: found[name])[:NAMES]
    return f"{question} {' '.join(names)}" if names else None


def merge(first: Sequence[tuple[str, float]], second: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Both rankings as one: the better score counts, the second's less `COST`. Best first; ties by id."""
    scores = dict(first)
    for key, score in second:
        scores[key] = max(scores.get(key, float("-inf")), score - COST)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
