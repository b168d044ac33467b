"""IBAN (ISO 13616): country, its length, and the check digits of ISO 7064 mod 97-10."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span
from athanor.guards.personal.checks import mod97

CATEGORY = "pii.iban"
REACH = 44
# Registry of SWIFT, release 99 (2024).
LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ \-]?[A-Za-z0-9])", re.ASCII)
_NEXT = re.compile(r"[ \-]?([A-Za-z0-9])", re.ASCII)


def find(text: str) -> Iterator[Span]:
    """IBANs, in one piece or in groups with spaces or hyphens."""
    for match in _START.finditer(text):
        length = LENGTHS.get(match[0][:2].upper())
        if length is None:
            continue
        characters, place = [match[0]], match.end()
        for _ in range(length - 4):
            following = _NEXT.match(text, place)
            if following is None:
                break
            characters.append(following[1])
            place = following.end()
        else:
            whole = "".join(characters).upper()
            if not text[place : place + 1].isalnum() and mod97(whole[4:] + whole[:4]):
                yield Span(
                    category=CATEGORY, start=match.start(), end=place, score=1.0,
                    reason="an IBAN: the country's length and the check digits agree",
                )  # fmt: skip
