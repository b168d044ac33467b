"""Numbers that states give to people, in digits only: which they are, how they are written, and their check digits.

The checks are in `id_checks`. A check digit alone lets one chance number in ten (or
eleven) through, so a number that is not written in its own groups counts only near a word that names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from re import Pattern

from athanor.guards.personal import id_checks
from athanor.guards.personal.base import Number, Span, named, numbers, words

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


_TAX = ("tax", "taxpayer", "tin", "id number", "national id", "identification")
KINDS = (
    _kind(
        "US social security number",
        id_checks.us_ssn,
        9,
        ("ssn", "ss", "social security", "social", "soc sec"),
        {(3, 2, 4): "-"},
    ),
    _kind(
        "US social security number",
        id_checks.us_ssn,
        9,
        ("ssn", "ss", "social security", "social"),
        {(3, 2, 4): " ."},
        strict=False,
    ),
    _kind("US taxpayer number (ITIN)", id_checks.us_itin, 9, ("itin", *_TAX), {(3, 2, 4): "-"}),
    _kind("UK NHS number", id_checks.uk_nhs, 10, ("nhs", "patient", "health"), {(3, 3, 4): " -"}, strict=False),
    _kind(
        "German Steuer-ID",
        id_checks.de_steuer_id,
        11,
        ("steuer", "steuer id", "idnr", "identifikationsnummer", "steuernummer", "tax"),
        {(2, 3, 3, 3): " "},
    ),
    _kind(
        "French NIR",
        id_checks.fr_nir,
        15,
        ("nir", "sécu", "sécurité sociale", "insee", "securite sociale", "carte vitale"),
        {(1, 2, 2, 2, 3, 3, 2): " ", (15,): ""},
    ),
    _kind(
        "Dutch BSN",
        id_checks.nl_bsn,
        9,
        ("bsn", "burgerservicenummer", "sofinummer", "sofi"),
        {(4, 2, 3): ". ", (3, 3, 3): ". "},
        strict=False,
    ),
    _kind("Polish PESEL", id_checks.pl_pesel, 11, ("pesel",), {}),
    _kind(
        "Norwegian fødselsnummer",
        id_checks.no_fnr,
        11,
        ("fødselsnummer", "fnr", "personnummer", "fodselsnummer"),
        {(6, 5): " ", (11,): ""},
    ),
    _kind(
        "Swedish personnummer", id_checks.se_personnummer, 10, ("personnummer", "pnr", "personal number"), {(6, 4): "-"}
    ),
    _kind("Swedish personnummer", id_checks.se_personnummer_long, 12, ("personnummer", "pnr"), {(8, 4): "-"}),
    _kind("Danish CPR number", id_checks.dk_cpr, 10, ("cpr", "personnummer", "cpr nr"), {(6, 4): "-"}, strict=False),
    _kind("Brazilian CPF", id_checks.br_cpf, 11, ("cpf",), {(3, 3, 3, 2): ".-"}),
    _kind("Indian Aadhaar number", id_checks.in_aadhaar, 12, ("aadhaar", "aadhar", "uid", "uidai"), {(4, 4, 4): " -"}),
    _kind(
        "Australian tax file number", id_checks.au_tfn, 9, ("tfn", "tax file", "tax"), {(3, 3, 3): " "}, strict=False
    ),
    _kind("Australian Medicare number", id_checks.au_medicare, 10, ("medicare",), {(4, 5, 1): " "}),
    _kind(
        "Canadian SIN",
        id_checks.ca_sin,
        9,
        ("sin", "nas", "social insurance", "assurance sociale"),
        {(3, 3, 3): " -"},
        strict=False,
    ),
    _kind(
        "Belgian national number",
        id_checks.be_rrn,
        11,
        ("rijksregister", "registre national", "national number", "nn"),
        {(2, 2, 2, 3, 2): ".-", (6, 3, 2): "-."},
    ),
    _kind("Swiss AHV number", id_checks.ch_ahv, 13, ("ahv", "avs", "oasi"), {(3, 4, 4, 2): ". ", (13,): ""}),
    _kind(
        "Austrian social insurance number",
        id_checks.at_svnr,
        10,
        ("svnr", "sozialversicherung", "sv nummer", "versicherungsnummer"),
        {(4, 6): " "},
        strict=False,
    ),
    _kind("Portuguese NIF", id_checks.pt_nif, 9, ("nif", "contribuinte", "fiscal"), {}),
    _kind("Romanian CNP", id_checks.ro_cnp, 13, ("cnp", "cod numeric"), {(13,): ""}),
    _kind("Bulgarian EGN", id_checks.bg_egn, 10, ("egn", "егн"), {}),
    _kind("Turkish identity number", id_checks.tr_tckn, 11, ("tckn", "tc kimlik", "kimlik", "t.c. kimlik"), {}),
    _kind("South African identity number", id_checks.za_id, 13, ("id", "identity", "south african"), {(13,): ""}),
    _kind(
        "Korean resident number", id_checks.kr_rrn, 13, ("rrn", "resident registration", "주민등록번호"), {(6, 7): "-"}
    ),
    _kind("Czech or Slovak rodné číslo", id_checks.cz_rc, 10, ("rodné číslo", "rč", "birth number"), {(6, 4): "/"}),
    _kind(
        "Estonian or Lithuanian personal code",
        id_checks.ee_lt_code,
        11,
        ("isikukood", "asmens kodas", "personal code"),
        {},
    ),
    _kind("Croatian OIB", id_checks.hr_oib, 11, ("oib",), {}),
    _kind(
        "Japanese My Number",
        id_checks.jp_my_number,
        12,
        ("my number", "マイナンバー", "個人番号"),
        {(4, 4, 4): " -"},
        strict=False,
    ),
    _kind("Israeli identity number", id_checks.il_id, 9, ("teudat zehut", "ת.ז", "תעודת זהות", "israeli id"), {}),
)
_LENGTHS: Mapping[int, list[Kind]] = defaultdict(list)
for _each in KINDS:
    _LENGTHS[_each.length].append(_each)


_SHAPES = frozenset(shape for kind in KINDS for shape in kind.shapes)


def _shaped(shape: tuple[int, ...]) -> bool:
    """In one piece, or grouped as some country does."""
    return len(shape) == 1 or shape in _SHAPES


def find(text: str) -> Iterator[Span]:
    """Numbers whose check digits agree and that are written or named as what they are."""
    for number in numbers(text, _shaped):
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
