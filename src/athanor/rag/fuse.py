"""Fusion of the lexical and the dense leg into one ranking.

Each leg's scores are standardised per query over its own best candidates (mean 0, deviation 1), clipped below, and
added with a fixed weight. That keeps what rank fusion throws away (how much better the first is than the tenth) and
needs no knowledge of either score's scale, so it survives another embedder or a corpus of another size.

The dense leg's share shrinks where one passage stands out by its words: that is where words are right.

Measured through the product's chunks (nDCG@10 on Cranfield / SQuAD passages / a FiQA pool; best single leg
.390/.941/.734): this .424/.954/.742; with a fixed share of .6 .421/.954/.734. `design/retrieval.md` has the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from athanor.rag.arrays import Floats, np

DEPTH = 100
"""Candidates of each leg. Statistics are taken over them."""

DENSE_WEIGHT = 0.7
LEAD = 0.06
LEAST_DENSE = 0.3
"""The dense leg's share is not less, however far the best passage by words leads."""

FLOOR = -1.0
"""A candidate that a leg did not find, or found far down, counts as one deviation under that leg's mean, not less:
one leg must not veto what the other is sure of."""

# Differences smaller than these are noise: without a lower bound, a base of five chunks that all say the same would
# have its hundredths of cosine blown up into a ranking that outvotes the other leg.
MIN_LEXICAL_DEVIATION = 0.25
MIN_DENSE_DEVIATION = 0.02


def standardise(values: Floats, sample: Floats, minimum: float) -> Floats:
    """`values` as clipped z-scores in the distribution of `sample` (1-d); zeros if the sample is empty."""
    if sample.size == 0:
        return np.zeros_like(values)
    deviation = max(float(sample.std()), minimum)
    clipped: Floats = np.maximum((values - sample.mean()) / deviation, FLOOR)
    return clipped


def fuse(
    lexical: Sequence[tuple[str, float]],
    dense: Mapping[str, float],
    dense_best: Sequence[float],
    *,
    dense_weight: float = DENSE_WEIGHT,
    lead: float = LEAD,
) -> list[tuple[str, float]]:
    """(id, score) of all candidates, best first; ties by id.

    Args:
        lexical: (id, BM25) of the lexical leg's best, best first.
        dense: cosine of every candidate of both legs, by id.
        dense_best: the cosines of the dense leg's best alone; the distribution that cosines are standardised in.
        dense_weight: the dense leg's share, 0 to 1.
        lead: what it loses for each deviation between the two best of the lexical leg.
    """
    ids = list(dense)
    bm25 = dict(lexical)
    found = np.array([bm25[i] for i in ids if i in bm25], dtype=np.float64)
    absent = float("-inf") if found.size else 0.0  # clipped to the floor; with no match at all the leg is silent
    lexical_scores = standardise(
        np.array([bm25.get(i, absent) for i in ids], dtype=np.float64), found, MIN_LEXICAL_DEVIATION
    )
    dense_scores = standardise(
        np.array([dense[i] for i in ids], dtype=np.float64), np.array(dense_best, dtype=np.float64), MIN_DENSE_DEVIATION
    )
    share = dense_share(lexical, dense_weight, lead)
    fused = share * dense_scores + (1 - share) * lexical_scores
    return sorted(zip(ids, fused.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))


def dense_share(lexical: Sequence[tuple[str, float]], dense_weight: float = DENSE_WEIGHT, lead: float = LEAD) -> float:
    """The dense leg's share for a query with this lexical leg, best first."""
    if len(lexical) < 2 or lead <= 0:
        return dense_weight
    found = np.array([score for _, score in lexical], dtype=np.float64)
    scores = standardise(found[:2], found, MIN_LEXICAL_DEVIATION)
    return max(min(dense_weight, LEAST_DENSE), dense_weight - lead * float(scores[0] - scores[1]))


RERANK_WEIGHT = 0.1
"""Deviations for each logit of the cross-encoder."""
RERANK_FLOOR = -10.0
"""Logits under this say nothing more. Over six passages, on 120 questions of each set, Cranfield / SQuAD / FiQA go
from .4072/.9632/.7561 to .4070/.9679/.7650. At twice the weight FiQA falls to .7541; with a floor of 2, so that only
what the cross-encoder is sure of counts, it is .4037/.9643/.7592. Over twelve passages none is better by .001."""


def blend(fused: Floats, logits: Floats, *, weight: float = RERANK_WEIGHT) -> Floats:
    """Fused scores with a cross-encoder's logits as one more feature; both 1-d, in the same order."""
    blended: Floats = fused + weight * (np.maximum(logits, RERANK_FLOOR) - RERANK_FLOOR)
    return blended
