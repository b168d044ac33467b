"""Numbers as people read them."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes for people: a number and its unit, on one line."""
    value, unit = float(count), "B"
    for larger in ("KB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    digits = 0 if unit == "B" or value >= 100 else 1
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}{unit}"


def many(count: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    number = f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{number} {noun}{'' if count == 1 else 's'}"
