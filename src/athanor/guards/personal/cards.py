"""Payment cards: issuer ranges, lengths and Luhn's check digit (ISO/IEC 7812)."""

from __future__ import annotations

from collections.abc import Iterator

from athanor.guards.personal.base import Number, Span, named, numbers, words
from athanor.guards.personal.checks import luhn

CATEGORY = "pii.card"
REACH = 25
"""19 digits in groups of at least two, and what parts them."""
_WORDS = words(
    "card", "credit", "debit", "visa", "mastercard", "amex", "american express", "maestro", "discover", "diners", "cc",
    "payment", "karte", "kreditkarte", "carte", "tarjeta", "carta", "cartão", "kort", "karta", "pan", "cvv", "cvc",
    "expires", "expiry",
)  # fmt: skip

# Prefix from, prefix to (as numbers of equal length), lengths. Maestro's ranges are wide, so they come last.
_ISSUERS: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("300", "305", frozenset(range(14, 20))),  # Diners Club
    ("3095", "3095", frozenset(range(14, 20))),
    ("36", "36", frozenset(range(14, 20))),
    ("38", "39", frozenset(range(14, 20))),
    ("6011", "6011", frozenset(range(16, 20))),  # Discover
    ("622126", "622925", frozenset(range(16, 20))),
    ("644", "649", frozenset(range(16, 20))),
    ("65", "65", frozenset(range(16, 20))),
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("1800", "1800", frozenset({15})),
    ("2131", "2131", frozenset({15})),
    ("62", "62", frozenset(range(16, 20))),  # UnionPay
    ("2200", "2204", frozenset(range(16, 20))),  # Mir
    ("979200", "979289", frozenset({16})),  # Troy
    ("60", "60", frozenset({16})),  # RuPay
    ("81", "82", frozenset({16})),
    ("50", "50", frozenset(range(12, 20))),  # Maestro
    ("56", "58", frozenset(range(12, 20))),
    ("63", "63", frozenset(range(12, 20))),
    ("67", "67", frozenset(range(12, 20))),
)


def issued(digits: str) -> bool:
    """Whether an issuer gives out cards that begin so and are so long, and the check digit agrees."""
    length = len(digits)
    return any(low <= digits[: len(low)] <= high and length in lengths for low, high, lengths in _ISSUERS) and luhn(
        digits
    )


def find(text: str) -> Iterator[Span]:
    """Card numbers, in one piece or in groups. Near a word such as `card`, the check digit alone is enough."""
    for number in numbers(text, _shaped):
        if not (_parted(number) and luhn(number.digits)):
            continue
        near = named(text, number.start, number.end, _WORDS)
        if issued(number.digits):
            # A chance number passes once in ten times the share of the ranges; shorter ones stand for phones and ids.
            score = 1.0 if near else 0.9 if len(number.digits) > 13 else 0.6
            reason = "a payment card's number: issuer, length and check digit agree"
        elif near and number.whole and len(set(number.digits)) > 2:
            score, reason = 0.85, "a payment card's number: it is called one, and its check digit agrees"
        else:
            continue
        yield Span(category=CATEGORY, start=number.start, end=number.end, score=score, reason=reason)


def _shaped(shape: tuple[int, ...]) -> bool:
    """In one piece, or in groups of three to seven digits."""
    return 12 <= sum(shape) <= 19 and (len(shape) == 1 or all(3 <= size <= 7 for size in shape[:-1]))


def _parted(number: Number) -> bool:
    """As cards are written: with one kind of separator, which is no slash."""
    return not number.separators or (len(set(number.separators)) == 1 and number.separators[0] != "/")
