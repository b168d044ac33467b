"""From which similarity on a cached answer may be given to another wording, and how surely.

A comparison is a would-be hit that was answered anew all the same: its similarity, and whether the two answers were
the same. The share of false hits from a similarity on is bounded by Clopper and Pearson (1934), which is exact for
any number of comparisons.

Choosing the best of several thresholds, and looking again and again while comparisons come in, would each make a lucky
draw likely. So thresholds come from a fixed grid and are granted only at fixed counts of comparisons, and the 5 % is
divided among all of these tests (Bonferroni). Testing from strict to loose, each at the full 5 %, was not taken: the
strict end has the fewest comparisons, fails first, and ends the sequence before anything is granted. Taking a threshold
away needs no such care, and happens at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

GRID = (0.80, 0.85, 0.90, 0.93, 0.96, 0.98)
"""Thresholds that may be granted. More of them would need more comparisons for each."""
FLOOR = GRID[0]
"""Nearest questions that are less similar than this are not compared."""
CONFIDENCE = 0.95
GROWTH = 1.5
"""From one look to the next."""
WINDOW = 4096
"""Comparisons that count; older ones are forgotten."""
RECENT = 100
"""Comparisons in which a change for the worse is looked for."""
SURELY_WORSE = 0.99
"""Confidence at which the recent comparisons take a threshold away."""
_STEPS = 60
"""Bisections: past these, a double does not change."""


def upper_bound(errors: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper-Pearson upper bound of a share: the `confidence` quantile of Beta(errors + 1, trials - errors).

    The largest p for which so few errors are as likely as `1 - confidence`; 1.0 without trials.
    """
    if not 0 <= errors <= trials:
        raise ValueError(f"{errors} of {trials} is no share.")
    if errors == trials:
        return 1.0
    if errors == 0:
        return float(1 - (1 - confidence) ** (1 / trials))
    return _bisect(lambda p: at_most(errors, trials, p) > 1 - confidence)


def lower_bound(errors: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper-Pearson lower bound of a share; 0.0 without errors."""
    return 1.0 - upper_bound(trials - errors, trials, confidence) if trials else 0.0


def at_most(successes: int, trials: int, p: float) -> float:
    """P(X <= successes) for X ~ Binomial(trials, p)."""
    if successes >= trials or p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    if successes > trials // 2:  # the shorter tail has fewer terms
        return 1.0 - at_most(trials - successes - 1, trials, 1 - p)
    log_p, log_q = math.log(p), math.log1p(-p)
    whole = math.lgamma(trials + 1)
    terms = [
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_p + (trials - k) * log_q)
        for k in range(successes + 1)
    ]
    return min(1.0, math.fsum(terms))


def _bisect(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is known about one threshold."""

    threshold: float
    samples: int
    """Comparisons at or above it."""
    errors: int
    """Of these: different answers."""
    bound: float
    """Upper bound of the share of errors, at 95 % confidence."""


class Calibration:
    """The comparisons of one route and one embedder, and the threshold that they allow.

    Args:
        allowed: share of false hits that may not be exceeded.
    """

    def __init__(self, *, allowed: float) -> None:
        self._allowed = allowed
        self._window: deque[tuple[float, bool]] = deque()
        self._samples = [0] * len(GRID)
        self._errors = [0] * len(GRID)
        self._recent: tuple[deque[bool], ...] = tuple(deque(maxlen=RECENT) for _ in GRID)
        self._granted = [False] * len(GRID)
        self._looks = 1
        """The number of the next look."""
        # Earlier than this, nothing could be granted even without an error: at 1 %, after 546 comparisons.
        self._next_look = math.ceil(math.log(self._alpha()) / math.log1p(-allowed))
        self.count = 0
        """Comparisons so far, forgotten ones included."""

    @property
    def threshold(self) -> float | None:
        """The smallest similarity from which on cached answers may be given; None while that is not shown."""
        return next((value for value, granted in zip(GRID, self._granted, strict=True) if granted), None)

    def add(self, similarity: float, *, same: bool) -> None:
        """Take one comparison in, and draw the consequences."""
        if similarity < FLOOR:
            return
        self.count += 1
        self._window.append((similarity, same))
        self._tally(similarity, same, 1)
        if len(self._window) > WINDOW:
            self._tally(*self._window.popleft(), -1)
        for place, value in enumerate(GRID):
            if similarity >= value:
                self._recent[place].append(same)
        if not same or len(self._window) == WINDOW:  # with a full window, good ones are forgotten too
            self._withdraw()
        if self.count >= self._next_look:
            self._look()

    def proof(self) -> Proof:
        """About the threshold in use; without one, about the one that comes nearest to being granted."""
        proofs = [self._proof(place) for place in range(len(GRID))]
        if self.threshold is not None:
            return next(proof for proof in proofs if proof.threshold == self.threshold)
        return min(proofs, key=lambda proof: proof.bound)

    def _proof(self, place: int) -> Proof:
        samples, errors = self._samples[place], self._errors[place]
        return Proof(threshold=GRID[place], samples=samples, errors=errors, bound=upper_bound(errors, samples))

    def _tally(self, similarity: float, same: bool, sign: int) -> None:
        for place, value in enumerate(GRID):
            if similarity < value:
                break
            self._samples[place] += sign
            self._errors[place] += 0 if same else sign

    def _look(self) -> None:
        """Grant what is shown now. The k-th look may err with 5 % · 2^-k: together, however long it goes on, 5 %."""
        confidence = 1 - self._alpha()
        self._looks += 1
        self._next_look = math.ceil(self._next_look * GROWTH)
        for place in range(len(GRID)):
            bound = upper_bound(self._errors[place], self._samples[place], confidence)
            self._granted[place] = bound <= self._allowed and not self._worse(place)

    def _alpha(self) -> float:
        """With what probability one threshold may be granted wrongly at this look."""
        return (1 - CONFIDENCE) * 2.0**-self._looks / len(GRID)

    def _withdraw(self) -> None:
        """Take away what cannot be upheld."""
        for place, granted in enumerate(self._granted):
            if granted and (self._proof(place).bound > self._allowed or self._worse(place)):
                self._granted[place] = False

    def _worse(self, place: int) -> bool:
        """Do the latest comparisons alone show that the bound is broken? The rest may be of better days."""
        recent = self._recent[place]
        return lower_bound(recent.count(False), len(recent), SURELY_WORSE) > self._allowed
