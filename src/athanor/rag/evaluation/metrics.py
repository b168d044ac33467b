"""How good a ranking is for a question."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranked: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k` of `ranked`, of each its first occurrence; 0 to 1."""
    first = list(dict.fromkeys(ranked))[:k]
    gain = sum(relevant.get(name, 0.0) / math.log2(place + 2) for place, name in enumerate(first))
    best = sum(grade / math.log2(place + 2) for place, grade in enumerate(sorted(relevant.values(), reverse=True)[:k]))
    return gain / best if best > 0 else 0.0
