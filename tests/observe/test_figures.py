from __future__ import annotations

import pytest

from athanor.observe.figures import count, dollars, percent, seconds, short


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0"),
        (1.2345e-5, "$0.0000123"),
        (0.0009996, "$0.00100"),
        (0.0123, "$0.0123"),
        (0.5, "$0.500"),
        (0.9996, "$1.00"),
        (12.345, "$12.35"),
        (1234.5, "$1,234.50"),
        (-0.25, "-$0.250"),
    ],
)
def test_dollars_keep_three_digits_that_say_something(amount: float, text: str) -> None:
    assert dollars(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, ""), (0, "0.0 ms"), (0.00042, "0.4 ms"), (0.0123, "12 ms"), (0.9999, "1.00 s"), (9.999, "10.0 s"),
     (125, "2 min 5 s"), (119.6, "2 min 0 s"), (7325, "2 h 2 min")],
)  # fmt: skip
def test_seconds_take_the_unit_that_fits(amount: float | None, text: str) -> None:
    assert seconds(amount).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


def test_counts_and_shares() -> None:
    gap = "\N{NARROW NO-BREAK SPACE}"
    assert count(1234567) == f"1{gap}234{gap}567"
    assert [short(n) for n in (0, 950, 1200, 34e6)] == ["0", "950", "1.2k", "34M"]
    assert [percent(s).replace(gap, " ") for s in (0, 0.004, 0.12, 1)] == ["0 %", "0.4 %", "12 %", "100 %"]
