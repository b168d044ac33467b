"""Numbers that states give to people, with letters in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from athanor.guards.personal.base import Span
from athanor.guards.personal.checks import birthday, mod11_2

CATEGORY = "pii.national_id"
REACH = 30
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_PPS = "WABCDEFGHIJKLMNOPQRSTUV"
_CF_MONTHS = "ABCDEHLMPRST"
# Values of characters in odd places (Decreto ministeriale 23/12/1976).
_CF_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                   (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11,
                    3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
_CURP = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
_TAIWAN = dict(zip("ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36), strict=True))


def es_dni(n: str) -> bool:
    """DNI and NIE: the letter is the rest by 23; X, Y, Z stand for 0, 1, 2."""
    return _DNI[int(n[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == n[-1]


def it_cf(n: str) -> bool:
    """Codice fiscale: the last letter is the sum of the values of odd and even places, modulo 26."""
    total = sum(_CF_ODD[char] if place % 2 == 0 else int(char, 36) % 10 if char.isdigit() else ord(char) - 65
                for place, char in enumerate(n[:15]))  # fmt: skip
    return chr(65 + total % 26) == n[15]


def fi_hetu(n: str) -> bool:
    """Henkilötunnus: the rest by 31 of the nine digits; a date."""
    digits = n[:6] + n[7:10]
    return _HETU[int(digits) % 31] == n[10] and birthday(n[4:6], n[2:4], n[:2])


def fr_corsica(n: str) -> bool:
    """NIR of those born in Corsica: 2A counts as 19, 2B as 18."""
    return 97 - int(n[:13].replace("2A", "19").replace("2B", "18")) % 97 == int(n[13:])


def ie_pps(n: str) -> bool:
    """Weights 8 to 2, the second letter times 9, modulo 23."""
    total = sum(int(char) * weight for char, weight in zip(n[:7], range(8, 1, -1), strict=True))
    extra = (ord(n[8]) - 64) * 9 if len(n) == 9 and n[8] != "W" else 0
    return _PPS[(total + extra) % 23] == n[7]


def sg_nric(n: str) -> bool:
    """Weights 2, 7, 6, 5, 4, 3, 2, modulo 11; a table for each first letter."""
    total = sum(int(char) * weight for char, weight in zip(n[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(n[0], 0)
    table = "JZIHGFEDCBA" if n[0] in "ST" else "XWUTRQPNMLK" if n[0] in "FG" else "KLJNPQRTUWX"
    place = 10 - total % 11 if n[0] == "M" else total % 11
    return table[place] == n[8]


def cn_ric(n: str) -> bool:
    """GB 11643: ISO 7064 mod 11-2, and a date."""
    return birthday(n[8:10], n[10:12], n[12:14]) and n[6:8] in {"18", "19", "20"} and mod11_2(n)


def mx_curp(n: str) -> bool:
    """CURP: weights 18 to 2, modulo 10."""
    total = sum(_CURP.index(char) * weight for char, weight in zip(n[:17], range(18, 1, -1), strict=True))
    return (10 - total % 10) % 10 == int(n[17])


def cl_rut(n: str) -> bool:
    """RUT: weights 2 to 7 from the right, modulo 11; 10 is K."""
    total = sum(int(char) * (2 + place % 6) for place, char in enumerate(reversed(n[:-1])))
    return "0123456789K0"[(11 - total % 11)] == n[-1]


def tw_id(n: str) -> bool:
    """A letter of two digits, weights 1, 9, 8 … 1, 1, modulo 10."""
    head = _TAIWAN[n[0]]
    total = (
        head // 10 + head % 10 * 9 + sum(int(c) * w for c, w in zip(n[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True))
    )
    return total % 10 == 0


def _form(_: str) -> bool:
    """No check digit: the form alone."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One country's number. The pattern may hold spaces, hyphens and full stops, which are taken out for the check."""

    name: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool]
    score: float


def _kind(name: str, pattern: str, check: Callable[[str], bool], score: float = 0.95) -> Kind:
    return Kind(name=name, pattern=re.compile(rf"(?<![^\W_]){pattern}(?![^\W_])", re.ASCII), check=check, score=score)


KINDS = (
    _kind(
        "UK national insurance number",
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]",
        _form,
        0.9,
    ),
    _kind("Spanish DNI or NIE", r"(?:\d{8}|\d{2}\.\d{3}\.\d{3}|[XYZ][ -]?\d{7})[ -]?[A-HJ-NP-TV-Z]", es_dni),
    _kind(
        "Italian codice fiscale",
        r"[A-Z]{6} ?[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3}[A-Z]",
        it_cf,
        1.0,
    ),
    _kind("Finnish henkilötunnus", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", fi_hetu, 1.0),
    _kind("French NIR", r"[12] ?\d\d ?\d\d ?2[AB] ?\d{3} ?\d{3} ?\d\d", fr_corsica, 1.0),
    _kind("Indian PAN", r"[A-Z]{3}P[A-Z]\d{4}[A-Z]", _form, 0.8),
    _kind("Irish PPS number", r"\d{7}[A-W][A-IW]?", ie_pps, 0.85),
    _kind("Singaporean NRIC or FIN", r"[STFGM]\d{7}[A-Z]", sg_nric),
    _kind("Chinese resident number", r"[1-8]\d{16}[\dX]", cn_ric),
    _kind("Mexican CURP", r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", mx_curp, 1.0),
    _kind("Chilean RUT", r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", cl_rut),
    _kind("Taiwanese identity number", r"[A-Z][1289]\d{8}", tw_id, 0.85),
)
_SEPARATORS = str.maketrans("", "", " .-")


def find(text: str) -> Iterator[Span]:
    """Numbers in their own form whose check characters agree."""
    for kind in KINDS:
        for match in kind.pattern.finditer(text):
            # A hyphen in a Finnish number is a century, not a separator.
            bare = match[0] if kind.check is fi_hetu else match[0].translate(_SEPARATORS)
            if kind.check(bare):
                yield Span(
                    category=CATEGORY, start=match.start(), end=match.end(), score=kind.score, reason=f"a {kind.name}"
                )
