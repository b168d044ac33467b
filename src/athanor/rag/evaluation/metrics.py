"""How good a ranking is for a question.

Of a name that is ranked twice, the first place counts: a document with three passages among the hits is found once.
Where nothing is relevant there is nothing to measure, and whoever asks must not average the 0 that comes back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranked: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k` of `ranked`, of each its first occurrence; 0 to 1."""
    first = list(dict.fromkeys(ranked))[:k]
    gain = sum(relevant.get(name, 0.0) / math.log2(place + 2) for place, name in enumerate(first))
    best = sum(grade / math.log2(place + 2) for place, grade in enumerate(sorted(relevant.values(), reverse=True)[:k]))
    return gain / best if best > 0 else 0.0


def recall(ranked: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """Share of what is relevant (grade > 0) that is among the first `k` different names of `ranked`; 0 to 1."""
    wanted = {name for name, grade in relevant.items() if grade > 0}
    found = wanted.intersection(list(dict.fromkeys(ranked))[:k])
    return len(found) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """1 / place of the first relevant one of the first `k` different names of `ranked`; 0 where there is none."""
    first = enumerate(list(dict.fromkeys(ranked))[:k], 1)
    return next((1 / place for place, name in first if relevant.get(name, 0.0) > 0), 0.0)
