"""Texts of one list that are nearly those of another: what is measured must not have been trained on in other words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+")
_RUN = 3
NEAR = 0.5
"""Share of the runs of three words of the smaller text that the other has, too: from here on it is a near duplicate."""


def near(texts: Sequence[str], known: Sequence[str]) -> list[bool]:
    """For each of `texts` whether one of `known` is nearly the same."""
    having: dict[int, list[int]] = defaultdict(list)
    sizes = []
    for place, text in enumerate(known):
        runs = _runs(text)
        sizes.append(len(runs))
        for run in runs:
            having[run].append(place)
    found = []
    for text in texts:
        runs = _runs(text)
        shared = Counter(place for run in runs for place in having.get(run, ()))
        found.append(any(count >= NEAR * max(min(sizes[at], len(runs)), 1) for at, count in shared.items()))
    return found


def _runs(text: str) -> set[int]:
    words = _WORD.findall(text.lower())
    return {hash(tuple(words[at : at + _RUN])) for at in range(max(len(words) - _RUN + 1, 1))}
