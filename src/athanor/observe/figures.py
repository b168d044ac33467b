"""Money, times and counts as people read them. Every figure has at most three digits that say something."""

from __future__ import annotations

import math

_GAP = "\N{NARROW NO-BREAK SPACE}"


def dollars(amount: float) -> str:
    """US dollars: `$1,234.50`, `$0.123`, `$0.0000123`; never an exponent, and nothing is only for nothing."""
    if amount == 0:
        return "$0"
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size >= 0.9995:
        return f"{sign}${size:,.2f}"
    # Rounded first: 0.0009996 is 0.00100.
    places = 2 - math.floor(math.log10(float(f"{size:.3g}")))
    return f"{sign}${size:.{places}f}"


def seconds(amount: float | None) -> str:
    """A duration: `0.4 ms`, `12 ms`, `1.23 s`, `2 min 5 s`; empty where there is none."""
    if amount is None:
        return ""
    for below, unit, of, places in (
        (0.00995, "ms", 0.001, 1),
        (0.9995, "ms", 0.001, 0),
        (9.995, "s", 1.0, 2),
        (119.5, "s", 1.0, 1),
    ):
        if amount < below:
            return f"{amount / of:.{places}f}{_GAP}{unit}"
    minutes, rest = divmod(round(amount), 60)
    if minutes < 120:
        return f"{minutes}{_GAP}min {rest}{_GAP}s"
    return f"{minutes // 60}{_GAP}h {minutes % 60}{_GAP}min"


def count(number: float) -> str:
    """A whole number with its thousands apart: `12 345`."""
    return f"{number:,.0f}".replace(",", _GAP)


def short(number: float) -> str:
    """A number for the axis of a plot: `0`, `950`, `1.2k`, `34M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def percent(share: float) -> str:
    """A share: `0 %`, `0.4 %`, `12 %`."""
    return f"{100 * share:.0f}{_GAP}%" if share == 0 or share >= 0.0995 else f"{100 * share:.1f}{_GAP}%"
