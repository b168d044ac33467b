"""How sure a mean over questions is: percentile bootstrap over the questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from athanor.rag.arrays import Floats, np

ROUNDS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


def interval(values: Sequence[float] | Floats, *, seed: int = 0, rounds: int = ROUNDS) -> Figure:
    """The mean of `values`, one for each question."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        return Figure(value=0.0, low=0.0, high=0.0)
    chance = np.random.default_rng(seed)
    means = [float(sample[chance.integers(0, sample.size, sample.size)].mean()) for _ in range(rounds)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Figure(value=float(sample.mean()), low=float(low), high=float(high))


def paired(
    before: Sequence[float] | Floats, after: Sequence[float] | Floats, *, seed: int = 0, rounds: int = ROUNDS
) -> Figure:
    """The mean difference `after - before` over the same questions."""
    return interval(
        np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64), seed=seed, rounds=rounds
    )


def quantile(values: Sequence[float] | Floats, share: float, *, seed: int = 0, rounds: int = ROUNDS) -> Figure:
    """The value that `share` of `values` do not exceed (0.95: the 95th percentile), and its interval."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        return Figure(value=0.0, low=0.0, high=0.0)
    chance = np.random.default_rng(seed)
    found = [float(np.quantile(sample[chance.integers(0, sample.size, sample.size)], share)) for _ in range(rounds)]
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(value=float(np.quantile(sample, share)), low=float(low), high=float(high))


def figure(made: Figure) -> dict[str, float]:
    """As figures are stored."""
    return {name: round(value, 4) for name, value in asdict(made).items()}
