"""The proof behind answers by meaning: exact bounds, and thresholds that are granted no sooner than they are shown."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.gateway.cache import Calibration
from athanor.gateway.cache.calibrate import GRID, RECENT, WINDOW, at_most, lower_bound, upper_bound


@pytest.mark.parametrize(
    ("errors", "trials", "upper", "lower"),
    [
        (0, 10, 0.2589, 0.0),
        (1, 10, 0.3942, 0.0051),
        (5, 10, 0.7776, 0.2224),
        (10, 10, 1.0, 0.7411),
        (1, 100, 0.0466, 0.0005),
        (5, 100, 0.1023, 0.0199),
        (0, 299, 0.00997, 0.0),
        (0, 298, 0.01000, 0.0),
    ],
)
def test_clopper_pearson_as_in_the_tables(errors: int, trials: int, upper: float, lower: float) -> None:
    assert upper_bound(errors, trials) == pytest.approx(upper, abs=5e-5)
    assert lower_bound(errors, trials) == pytest.approx(lower, abs=5e-5)


def test_299_comparisons_without_an_error_show_one_percent_and_298_do_not() -> None:
    assert upper_bound(0, 299) <= 0.01 < upper_bound(0, 298)


def test_nothing_is_known_without_trials() -> None:
    assert (upper_bound(0, 0), lower_bound(0, 0)) == (1.0, 0.0)
    with pytest.raises(ValueError, match="no share"):
        upper_bound(2, 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.99))
def test_binomial_tails_are_exact(case: tuple[int, int], p: float) -> None:
    k, n = case
    q = Fraction(p)
    exact = sum(math.comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1))
    assert at_most(k, n, p) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 4000).flatmap(lambda n: st.tuples(st.integers(0, min(n - 1, 60)), st.just(n))))
def test_the_bound_is_where_so_few_errors_become_unlikely(case: tuple[int, int]) -> None:
    errors, trials = case
    assert at_most(errors, trials, upper_bound(errors, trials)) == pytest.approx(0.05, rel=1e-6)
    assert lower_bound(errors, trials) <= errors / trials < upper_bound(errors, trials)


# The threshold


def filled(count: int, *, similarity: float = 0.97, wrong: int = 0, allowed: float = 0.01) -> Calibration:
    """`count` comparisons, the first `wrong` of them with another answer."""
    calibration = Calibration(allowed=allowed)
    for i in range(count):
        calibration.add(similarity, same=i >= wrong)
    return calibration


def test_nothing_is_granted_before_it_is_shown() -> None:
    assert filled(299).threshold is None  # would do for one test of one threshold, but not for all of them
    assert filled(545).threshold is None
    assert filled(546).threshold == GRID[0]
    assert filled(600, wrong=1).threshold is None
    assert filled(2000, wrong=60).threshold is None
    assert filled(120, allowed=0.05).threshold == GRID[0]
    proof = filled(300, wrong=3).proof()
    assert (proof.samples, proof.errors, proof.bound) == (300, 3, upper_bound(3, 300))


def test_grants_are_made_at_fixed_counts_only() -> None:
    calibration = filled(545)
    calibration.add(0.97, same=False)  # at the first look there is one error too many
    for count in range(547, 1229):
        calibration.add(0.97, same=True)
        assert calibration.threshold is None, count
    calibration.add(0.97, same=True)
    assert calibration.threshold == GRID[0]


def test_the_smallest_similarity_that_is_safe_is_taken() -> None:
    calibration = Calibration(allowed=0.01)
    for i in range(2000):
        calibration.add(0.97, same=True)
        calibration.add(0.87, same=i % 5 > 0)
    assert calibration.threshold == 0.90
    assert calibration.proof().samples == 2000


def test_a_bound_that_is_broken_takes_the_threshold_up_or_away() -> None:
    calibration = filled(1000, similarity=0.99)
    assert calibration.threshold == GRID[0]
    for _ in range(8):
        calibration.add(0.82, same=False)
    assert calibration.threshold == 0.85
    for _ in range(8):
        calibration.add(0.99, same=False)
    assert calibration.threshold is None


def test_good_old_days_do_not_hide_a_change_for_the_worse() -> None:
    calibration = filled(WINDOW, similarity=0.97)
    wrong = 0
    while calibration.threshold is not None:
        wrong += 1
        calibration.add(0.97, same=False)
    assert wrong <= 6  # over the whole window, some 30 would still be within 1 %
    for _ in range(2 * RECENT):
        calibration.add(0.97, same=True)
    assert calibration.threshold is None  # granted only at a look


def test_old_comparisons_are_forgotten() -> None:
    calibration = filled(300, wrong=300)
    for _ in range(6_000):
        calibration.add(0.97, same=True)
    assert calibration.proof().samples == WINDOW
    assert calibration.proof().errors == 0
    assert calibration.threshold == GRID[0]


def test_looking_often_at_many_thresholds_seldom_grants_what_is_not_so() -> None:
    """The true share of false hits is 1.2 % at every similarity, and 1 % is allowed: any grant is a mistake."""
    granted = 0
    for seed in range(80):
        draw = random.Random(seed)
        calibration = Calibration(allowed=0.01)
        for _ in range(2500):
            calibration.add(draw.uniform(0.8, 1.0), same=draw.random() >= 0.012)
            if calibration.threshold is not None:
                granted += 1
                break
    assert granted <= 0.05 * 80
