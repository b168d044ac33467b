"""Check digits. Each takes the characters without separators, and says whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def weighted(digits: str, weights: Sequence[int], modulus: int) -> int:
    """Sum of digits times weights, modulo `modulus`; digits after the last weight do not count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False)) % modulus


def mod97(text: str) -> bool:
    """ISO 7064 mod 97-10, as in an IBAN whose first four characters went to its end; letters count from A = 10."""
    return int("".join(str(int(char, 36)) for char in text)) % 97 == 1


def mod11_10(digits: str) -> bool:
    """ISO 7064 mod 11,10."""
    rest = 10
    for char in digits[:-1]:
        rest = (rest + int(char)) % 10 or 10
        rest = rest * 2 % 11
    return (11 - rest) % 10 == int(digits[-1])


def mod11_2(text: str) -> bool:
    """ISO 7064 mod 11-2; the last character may be X."""
    rest = 0
    for char in text[:-1]:
        rest = (rest + int(char)) * 2 % 11
    return (12 - rest) % 11 == (10 if text[-1] in "xX" else int(text[-1]))


def verhoeff(digits: str) -> bool:
    """Verhoeff's scheme, as in Aadhaar."""
    rest = 0
    for place, char in enumerate(reversed(digits)):
        rest = int(_VERHOEFF_D[rest][int(_VERHOEFF_P[place % 8][int(char)])])
    return rest == 0


def ean(digits: str) -> bool:
    """GS1: weights 1 and 3 in turn, from the right."""
    return sum(int(char) * (3 if place % 2 else 1) for place, char in enumerate(reversed(digits))) % 10 == 0


def day(year: int, month: int, day_: int) -> bool:
    """Whether there is such a date."""
    try:
        date(year, month, day_)
    except ValueError:
        return False
    return True


def birthday(two: str, month: str, day_: str) -> bool:
    """Whether a year of two digits, a month and a day are a date in some century (29 February counts)."""
    return day(2000 + int(two), int(month), int(day_)) or day(1900 + int(two), int(month), int(day_))
