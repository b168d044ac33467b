"""Numbers that states give to people, in digits only: which they are, how they are written, and their check digits.

Sources: the issuing bodies' own descriptions, named beside each. A check digit alone lets one chance number in ten (or
eleven) through, so a number that is not written in its own groups counts only near a word that names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from re import Pattern

from athanor.guards.personal.base import Number, Span, named, numbers, words
from athanor.guards.personal.checks import birthday, day, ean, luhn, mod11_10, verhoeff, weighted

CATEGORY = "pii.national_id"
REACH = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One country's number."""

    name: str
    length: int
    check: Callable[[str], bool]
    """Given the digits alone."""
    words: Pattern[str]
    shapes: Mapping[tuple[int, ...], str]
    """Groups in which it is written → the separators that then part them."""
    strict: bool = True
    """Whether its own groups make it sure; else a word must stand near in any case."""


def _kind(
    name: str,
    check: Callable[[str], bool],
    length: int,
    names: tuple[str, ...],
    shapes: Mapping[tuple[int, ...], str] | None = None,
    *,
    strict: bool = True,
) -> Kind:
    return Kind(name=name, length=length, check=check, words=words(*names), shapes=shapes or {}, strict=strict)


def us_ssn(n: str) -> bool:
    """Social Security Administration: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    return n[:3] not in {"000", "666"} and n[0] != "9" and n[3:5] != "00" and n[5:] != "0000"


def us_itin(n: str) -> bool:
    """Internal Revenue Service: 9xx, and a group of 50–65, 70–88, 90–92 or 94–99."""
    group = int(n[3:5])
    return n[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or group >= 94)


def uk_nhs(n: str) -> bool:
    """NHS Data Dictionary: weights 10 to 2, modulo 11."""
    rest = 11 - weighted(n, range(10, 1, -1), 11)
    return rest != 10 and rest % 11 == int(n[9]) and len(set(n)) > 1


def de_steuer_id(n: str) -> bool:
    """Bundeszentralamt für Steuern: ISO 7064 mod 11,10; of the first ten digits one stands twice or thrice, the rest once."""
    counts = sorted((n[:10].count(digit) for digit in set(n[:10])), reverse=True)
    return n[0] != "0" and counts[0] in {2, 3} and counts[1] == 1 and mod11_10(n)


def fr_nir(n: str) -> bool:
    """INSEE: the key is 97 less the rest of the number by 97."""
    return n[0] in "123478" and (1 <= int(n[3:5]) <= 12 or int(n[3:5]) >= 20) and 97 - int(n[:13]) % 97 == int(n[13:])


def nl_bsn(n: str) -> bool:
    """The eleven test: weights 9 to 2, and -1."""
    return weighted(n, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11) == 0 and n != "000000000"


def pl_pesel(n: str) -> bool:
    """Weights 1, 3, 7, 9; months carry the century."""
    return weighted(n, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0 and birthday(n[:2], f"{int(n[2:4]) % 20:02}", n[4:6])


def no_fnr(n: str) -> bool:
    """Skatteetaten: two check digits modulo 11; D-numbers have 4 added to the day."""
    day_ = f"{int(n[0]) % 4}{n[1]}"
    first = weighted(n, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), 11)
    second = weighted(n, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11)
    return first == second == 0 and birthday(n[4:6], n[2:4], day_)


def se_personnummer(n: str) -> bool:
    """Skatteverket: Luhn over ten digits; co-ordination numbers have 60 added to the day. 12 digits state the century."""
    short = n[-10:]
    day_ = int(short[4:6])
    return luhn(short) and birthday(short[:2], short[2:4], str(day_ - 60 if day_ > 60 else day_))


def dk_cpr(n: str) -> bool:
    """CPR-kontoret: a date and four digits; since 2007 the old check digit may not agree, so it is not asked for."""
    return birthday(n[4:6], n[2:4], n[:2])


def br_cpf(n: str) -> bool:
    """Receita Federal: two check digits modulo 11."""
    first = weighted(n, range(10, 1, -1), 11)
    second = weighted(n, range(11, 1, -1), 11)
    digit = lambda rest: 0 if rest < 2 else 11 - rest  # noqa: E731
    return len(set(n)) > 1 and digit(first) == int(n[9]) and digit(second) == int(n[10])


def in_aadhaar(n: str) -> bool:
    """UIDAI: Verhoeff; begins with 2 to 9."""
    return n[0] in "23456789" and verhoeff(n)


def au_tfn(n: str) -> bool:
    """Australian Taxation Office: weights 1, 4, 3, 7, 5, 8, 6, 9, 10, modulo 11."""
    return weighted(n, (1, 4, 3, 7, 5, 8, 6, 9, 10), 11) == 0 and len(set(n)) > 1


def au_medicare(n: str) -> bool:
    """Services Australia: weights 1, 3, 7, 9 over eight digits; begins with 2 to 6."""
    return n[0] in "23456" and weighted(n, (1, 3, 7, 9, 1, 3, 7, 9), 10) == int(n[8])


def ca_sin(n: str) -> bool:
    """Service Canada: Luhn; no number begins with 0 or 8."""
    return n[0] not in "08" and luhn(n)


def be_rrn(n: str) -> bool:
    """Rijksregister: 97 less the rest of the first nine digits, before which 2 stands for those born from 2000 on."""
    month = int(n[2:4]) % 20
    good = 97 - int(n[:9]) % 97 == int(n[9:]) or 97 - int("2" + n[:9]) % 97 == int(n[9:])
    return good and 0 <= month <= 12


def ch_ahv(n: str) -> bool:
    """Zentrale Ausgleichsstelle: 756 and EAN-13."""
    return n.startswith("756") and ean(n)


def at_svnr(n: str) -> bool:
    """Sozialversicherung: the fourth digit checks the others; then day, month, year."""
    rest = weighted(n, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6), 11)
    return n[0] != "0" and rest == int(n[3]) and 1 <= int(n[4:6]) <= 31 and 1 <= int(n[6:8]) <= 13


def pt_nif(n: str) -> bool:
    """Autoridade Tributária: weights 9 to 2, modulo 11; 1 to 3 and 45 are people."""
    rest = weighted(n, range(9, 1, -1), 11)
    return (n[0] in "123" or n[:2] == "45") and (0 if rest < 2 else 11 - rest) == int(n[8])


def ro_cnp(n: str) -> bool:
    """Weights 279146358279, modulo 11, 10 counts as 1."""
    rest = weighted(n, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), 11)
    return n[0] != "0" and (1 if rest == 10 else rest) == int(n[12]) and birthday(n[1:3], n[3:5], n[5:7])


def bg_egn(n: str) -> bool:
    """Weights 2, 4, 8, 5, 10, 9, 7, 3, 6, modulo 11; months carry the century."""
    rest = weighted(n, (2, 4, 8, 5, 10, 9, 7, 3, 6), 11) % 10
    return rest == int(n[9]) and birthday(n[:2], f"{int(n[2:4]) % 20:02}", n[4:6])


def tr_tckn(n: str) -> bool:
    """Nüfus: the tenth digit from odd and even places, the eleventh from the sum."""
    odd, even = (sum(map(int, n[first:9:2])) for first in (0, 1))
    return n[0] != "0" and (7 * odd - even) % 10 == int(n[9]) and sum(map(int, n[:10])) % 10 == int(n[10])


def za_id(n: str) -> bool:
    """Home Affairs: a date, a citizenship digit 0 to 2, Luhn."""
    return birthday(n[:2], n[2:4], n[4:6]) and n[10] in "012" and luhn(n)


def kr_rrn(n: str) -> bool:
    """Weights 2 to 9 and 2 to 5, modulo 11; numbers given since October 2020 have no check digit and are not found."""
    return birthday(n[:2], n[2:4], n[4:6]) and (11 - weighted(n, (*range(2, 10), *range(2, 6)), 11)) % 10 == int(n[12])


def cz_rc(n: str) -> bool:
    """Rodné číslo: divisible by 11; months of women have 50 added (and 20 for either when a day ran out)."""
    month = int(n[2:4]) % 50
    return int(n) % 11 == 0 and birthday(n[:2], f"{month - 20 if month > 20 else month:02}", n[4:6])


def ee_lt_code(n: str) -> bool:
    """Isikukood and asmens kodas: two rounds of weights modulo 11."""
    rest = weighted(n, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1), 11)
    if rest == 10:
        rest = weighted(n, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3), 11) % 10
    return n[0] in "123456" and rest == int(n[10]) and birthday(n[1:3], n[3:5], n[5:7])


def hr_oib(n: str) -> bool:
    """Porezna uprava: ISO 7064 mod 11,10."""
    return mod11_10(n)


def jp_my_number(n: str) -> bool:
    """Ministry of Internal Affairs: weights 6 to 2 and 7 to 2, modulo 11."""
    rest = weighted(n, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11)
    return (0 if rest < 2 else 11 - rest) == int(n[11]) and len(set(n)) > 1


def il_id(n: str) -> bool:
    """Luhn over nine digits."""
    return luhn(n) and len(set(n)) > 1


def _dated(n: str) -> bool:
    return day(int(n[:4]), int(n[4:6]), int(n[6:8])) and se_personnummer(n)


_TAX = ("tax", "taxpayer", "tin", "id number", "national id", "identification")
KINDS = (
    _kind("US social security number", us_ssn, 9, ("ssn", "ss", "social security", "social", "soc sec"), {(3, 2, 4): "-"}),
    _kind("US social security number", us_ssn, 9, ("ssn", "ss", "social security", "social"), {(3, 2, 4): " ."}, strict=False),
    _kind("US taxpayer number (ITIN)", us_itin, 9, ("itin", *_TAX), {(3, 2, 4): "-"}),
    _kind("UK NHS number", uk_nhs, 10, ("nhs", "patient", "health"), {(3, 3, 4): " -"}, strict=False),
    _kind("German Steuer-ID", de_steuer_id, 11, ("steuer", "steuer id", "idnr", "identifikationsnummer", "steuernummer", "tax"), {(2, 3, 3, 3): " "}),
    _kind("French NIR", fr_nir, 15, ("nir", "sécu", "sécurité sociale", "insee", "securite sociale", "carte vitale"), {(1, 2, 2, 2, 3, 3, 2): " ", (15,): ""}),
    _kind("Dutch BSN", nl_bsn, 9, ("bsn", "burgerservicenummer", "sofinummer", "sofi"), {(4, 2, 3): ". ", (3, 3, 3): ". "}, strict=False),
    _kind("Polish PESEL", pl_pesel, 11, ("pesel",), {}),
    _kind("Norwegian fødselsnummer", no_fnr, 11, ("fødselsnummer", "fnr", "personnummer", "fodselsnummer"), {(6, 5): " ", (11,): ""}),
    _kind("Swedish personnummer", se_personnummer, 10, ("personnummer", "pnr", "personal number"), {(6, 4): "-"}),
    _kind("Swedish personnummer", _dated, 12, ("personnummer", "pnr"), {(8, 4): "-"}),
    _kind("Danish CPR number", dk_cpr, 10, ("cpr", "personnummer", "cpr nr"), {(6, 4): "-"}, strict=False),
    _kind("Brazilian CPF", br_cpf, 11, ("cpf",), {(3, 3, 3, 2): ".-"}),
    _kind("Indian Aadhaar number", in_aadhaar, 12, ("aadhaar", "aadhar", "uid", "uidai"), {(4, 4, 4): " -"}),
    _kind("Australian tax file number", au_tfn, 9, ("tfn", "tax file", "tax"), {(3, 3, 3): " "}, strict=False),
    _kind("Australian Medicare number", au_medicare, 10, ("medicare",), {(4, 5, 1): " "}),
    _kind("Canadian SIN", ca_sin, 9, ("sin", "nas", "social insurance", "assurance sociale"), {(3, 3, 3): " -"}, strict=False),
    _kind("Belgian national number", be_rrn, 11, ("rijksregister", "registre national", "national number", "nn"), {(2, 2, 2, 3, 2): ".-", (6, 3, 2): "-."}),
    _kind("Swiss AHV number", ch_ahv, 13, ("ahv", "avs", "oasi"), {(3, 4, 4, 2): ". ", (13,): ""}),
    _kind("Austrian social insurance number", at_svnr, 10, ("svnr", "sozialversicherung", "sv nummer", "versicherungsnummer"), {(4, 6): " "}, strict=False),
    _kind("Portuguese NIF", pt_nif, 9, ("nif", "contribuinte", "fiscal"), {}),
    _kind("Romanian CNP", ro_cnp, 13, ("cnp", "cod numeric"), {(13,): ""}),
    _kind("Bulgarian EGN", bg_egn, 10, ("egn", "егн"), {}),
    _kind("Turkish identity number", tr_tckn, 11, ("tckn", "tc kimlik", "kimlik", "t.c. kimlik"), {}),
    _kind("South African identity number", za_id, 13, ("id", "identity", "south african"), {(13,): ""}),
    _kind("Korean resident number", kr_rrn, 13, ("rrn", "resident registration", "주민등록번호"), {(6, 7): "-"}),
    _kind("Czech or Slovak rodné číslo", cz_rc, 10, ("rodné číslo", "rč", "birth number"), {(6, 4): "/"}),
    _kind("Estonian or Lithuanian personal code", ee_lt_code, 11, ("isikukood", "asmens kodas", "personal code"), {}),
    _kind("Croatian OIB", hr_oib, 11, ("oib",), {}),
    _kind("Japanese My Number", jp_my_number, 12, ("my number", "マイナンバー", "個人番号"), {(4, 4, 4): " -"}, strict=False),
    _kind("Israeli identity number", il_id, 9, ("teudat zehut", "ת.ז", "תעודת זהות", "israeli id"), {}),
)  # fmt: skip
_LENGTHS: Mapping[int, list[Kind]] = defaultdict(list)
for _each in KINDS:
    _LENGTHS[_each.length].append(_each)


def find(text: str) -> Iterator[Span]:
    """Numbers whose check digits agree and that are written or named as what they are."""
    for number in numbers(text):
        for kind in _LENGTHS.get(len(number.digits), ()):
            score = _score(text, number, kind)
            if score:
                yield Span(
                    category=CATEGORY, start=number.start, end=number.end, score=score,
                    reason=f"a {kind.name}: its check digits agree",
                )  # fmt: skip


def _score(text: str, number: Number, kind: Kind) -> float:
    whole = len(number.shape) == 1
    allowed = kind.shapes.get(number.shape)
    if not whole and (allowed is None or not set(number.separators) <= set(allowed)):
        return 0.0
    if not kind.check(number.digits):
        return 0.0
    if named(text, number.start, number.end, kind.words):
        return 1.0
    if allowed is None:
        return 0.0
    return 0.85 if kind.strict else 0.3
