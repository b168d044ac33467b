"""Telephone numbers: international ones by the numbering plans, national ones by plan, form and what stands before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from athanor.errors import MissingExtraError
from athanor.guards.personal.base import Span, named, words
from athanor.plugins import require

CATEGORY = "pii.phone"
REACH = 48
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR")
"""Whose national numbers are known without a word that names them."""

_CANDIDATE = re.compile(
    r"(?<![\w+])(?<![\d][.,/-])(?:\+ ?)?\(?\+?\d{1,14}"
    r"(?:[ .\-/]{0,2}\(\d{1,5}\)(?:[ .\-/]{0,2}\d{1,14})?|\)?[ .\-/]{1,3}\d{1,14}|\)\d{1,14}){0,8}"
    r"(?: ?(?:x|ext\.?|extension|poste|#) ?\d{1,6})?(?![\w])",
    re.ASCII | re.IGNORECASE,
)
_EXTENSION = re.compile(r"[ ]?(?:x|ext\.?|extension|poste|#)[ ]?\d{1,6}\Z", re.IGNORECASE)
_NAMES = words(
    "phone", "phones", "telephone", "tel", "tel.", "mobile", "mobil", "cell", "cellphone", "fax", "hotline",
    "whatsapp", "sms", "landline", "phone number", "telefon", "handy", "rufnummer", "téléphone", "portable",
    "teléfono", "móvil", "celular", "telefono", "cellulare", "telefone", "telefoon", "mobiel", "telefonnummer",
    "puhelin", "puh", "tlf", "komórka", "nr tel", "ph", "phone no", "desk", "voicemail", "m:", "t:", "f:", "p:",
)  # fmt: skip
_ASKS = words(
    "call", "called", "calling", "text", "text me", "texting", "ring", "dial", "dialled", "reach", "reach me",
    "reach us", "contact", "messages to", "message to", "answering at", "answer at", "office", "home", "work",
    "direct", "number", "anrufen", "appelez", "llamar", "chiamare", "bel", "line", "extension", "signal", "phoned",
    "hung up",
)  # fmt: skip
_AFTER = words(
    "office",
    "fax",
    "mobile",
    "cell",
    "home",
    "desk",
    "work",
    "tel",
    "direct",
    "phone",
    "handy",
    "mobil",
    "(mobile",
    "(cell",
)
_OTHER = words(
    "order", "invoice", "ticket", "case", "account", "acct", "tracking", "serial", "isbn", "issn", "zip", "version",
    "ssn", "social security", "passport", "id", "iban", "card", "routing", "policy", "reference", "ref", "doi",
    "page", "pages", "born", "dob",
)  # fmt: skip
_DATE = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2}(?:[ T]\d{1,2}.*)?|(?:19|20)\d\d ?[-/–] ?(?:19"
    r"|20)?\d\d"
)
_NANP = re.compile(r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])\d{3}[ .-]\d{4}")
_STREET = re.compile(r" [A-Z\u00c0-\u00de]\w+ ")
"""A word with a capital after the number: it may be that of a house."""
_AMOUNT = re.compile(r"\d{1,3}(?:[ .]\d{3})+|\d+[.]\d+|\d{1,3}(?:\.\d{1,3}){3}")


def find(text: str, regions: Sequence[str] = REGIONS) -> Iterator[Span]:
    """Numbers with `+` or `00`, and national ones of `regions` (ISO 3166) or after a word such as `phone`."""
    for match in _CANDIDATE.finditer(text):
        start, end = match.span()
        while start < end and text[start] == "(" and ")" not in text[start:end]:
            start += 1
        written = text[start:end]
        core = _EXTENSION.sub("", written)
        digits = sum(char.isdigit() for char in core)
        if not 5 <= digits <= 17:
            continue
        score = _score(text, start, end, core, digits, regions)
        if score:
            yield Span(category=CATEGORY, start=start, end=end, score=score, reason="a telephone number")


def _score(text: str, start: int, end: int, core: str, digits: int, regions: Sequence[str]) -> float:
    if "+" in core[:3] or core.startswith("00"):
        return _international(core, digits, named(text, start, end, _NAMES, before=40, after=0))
    if _DATE.fullmatch(core) or digits > 13:
        return 0.0
    other = _last(_OTHER, text, start)
    if _last(_NAMES, text, start) > other:
        return 0.85 if digits > 5 else 0.5
    asked = _last(_ASKS, text, start) > other or (other < 0 and _AFTER.search(text, end, end + 12) is not None)
    if asked and digits >= 7 and not _STREET.match(text, end):
        return 0.75
    return 0.0 if other >= 0 or _AMOUNT.fullmatch(core) else _formed(core, digits, regions)


def _last(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the last word of `pattern` shortly before `start` ends; -1 where there is none."""
    return max((found.end() for found in pattern.finditer(text, max(0, start - 40), start)), default=-1)


def _formed(core: str, digits: int, regions: Sequence[str]) -> float:
    """Without a word: grouped as a number to be dialled, with a trunk zero or an area code in brackets."""
    if _NANP.fullmatch(core):
        return 0.8
    if digits < 8 or len(core) == digits or digits > 12:
        return 0.0
    valid = any(_valid(core, region) for region in regions)
    if core[0] in "0(":
        return 0.7 if valid else 0.4
    return 0.4 if valid and digits > 8 else 0.0


def _international(core: str, digits: int, near: bool) -> float:
    plan = _plan()
    if digits < 7:
        return 0.0
    if plan is None:
        return 0.85 if 8 <= digits <= 15 else 0.0
    plain = "+" + re.sub(r"\D", "", core.replace("(0)", "")).removeprefix("00")
    try:
        number = plan.parse(plain, None)
    except plan.NumberParseException:
        return 0.6 if near else 0.0
    if plan.is_valid_number(number):
        return 1.0
    return 0.85 if near or (plan.is_possible_number(number) and core[0] == "+") else 0.4


def _valid(core: str, region: str) -> bool:
    plan = _plan()
    try:
        return plan is not None and bool(plan.is_valid_number(plan.parse(core, region)))
    except plan.NumberParseException:
        return False


@cache
def _plan() -> Any:
    """The world's numbering plans; `None` without the extra `guards`: then the form alone decides."""
    try:
        return require("phonenumbers", extra="guards")
    except MissingExtraError:
        return None
