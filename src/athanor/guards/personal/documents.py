"""Numbers without a check of their own, known by the words before them: passports, licences, accounts, postcodes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span
from athanor.guards.personal.checks import weighted

REACH = 72
_JOIN = (
    r"(?:[\s.:#°-]{0,4}(?:no|nr|num|number|nummer|numéro|número|numero|id|code|is|are|was|it is|it's|=|:|#|n°|№)){0,3}"
    r"[\s.:#=\"'(-]{1,4}"
)


def _after(names: str, least: int, most: int) -> re.Pattern[str]:
    """Letters and digits, one digit among the first nine, right after one of `names`."""
    value = rf"(?P<value>(?=[A-Z0-9 -]{{0,8}}\d)[A-Z0-9](?:[ -]?[A-Z0-9]){{{least - 1},{most - 1}}})(?![A-Z0-9])"
    return re.compile(rf"(?<![^\W_])(?i:{names})(?i:{_JOIN}){value}")


_PASSPORT = r"passports?|reisepass(?:nummer)?|passeport|pasaporte|passaporto|paspoort|pass(?=[ -]?(?:no|nr|number))"
_LICENCE = (
    r"driver'?s?'?[ -]licen[cs]es?|driving[ -]licen[cs]e|\bDLN?|führerschein(?:nummer)?|permis de conduire|patente"
    r"|carn[eé] de conducir|rijbewijs|körkort|driver'?s?'? id"
)
_ACCOUNT = (
    r"(?:bank|checking|savings?|current)?[ -]?(?:account|acct|a/c|konto(?:nummer)?|compte|cuenta|conto"
    r"|rekening(?:nummer)?)"
)
_MEMBER = r"(?:member|customer|client|patient|policy|employee|medical record|mrn|kunden|versicherten)"
_POSTCODE = (
    r"zip|zip ?code|post ?code|postal code|plz|postleitzahl|code postal|c[oó]digo postal|cap|postnummer|postcode"
    r"|eircode"
)
_NATIONAL = (
    r"ssn|social security|national (?:id|identity|insurance)|tax(?:payer)? id|tin|itin|nino|steuer-?id|identification"
    r"|id card|personalausweis|dni|nie|nif|cpf|bsn|pesel|aadhaar|aadhar|personnummer|hetu|cpr"
)
_NAMED: tuple[tuple[str, str, float, re.Pattern[str]], ...] = (
    ("pii.passport", "a passport's number", 0.9, _after(_PASSPORT, 6, 10)),
    ("pii.licence", "a driving licence's number", 0.9, _after(_LICENCE, 5, 20)),
    ("pii.account", "a bank account's number", 0.85, _after(_ACCOUNT, 6, 18)),
    ("pii.account", "a bank's code beside an account", 0.85, _after(r"sort code|bsb|blz|bankleitzahl|clearing", 6, 8)),
    ("pii.account", "a member's or customer's number", 0.7, _after(_MEMBER, 5, 16)),
    ("pii.place", "a postcode", 0.75, _after(_POSTCODE, 3, 10)),
    ("pii.national_id", "a number of a state's, by the words before it", 0.8, _after(_NATIONAL, 7, 20)),
)
_ROUTING = re.compile(r"(?i:routing|aba|rtn|transit)" + _JOIN.replace("(?:", "(?i:", 1) + r"(?P<value>\d{9})(?!\d)")
_BIC = re.compile(
    r"(?<![^\W_])(?i:bic|swift(?:[ -]?code)?)(?i:"
    + _JOIN
    + r")(?P<value>[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)(?![A-Z0-9])"
)
_UK = re.compile(
    r"(?<![\w])(?:GIR ?0AA|[A-PR-UWYZ](?:\d{1,2}|[A-HK-Y]\d{1,2}|\d[A-HJKPSTUW]"
    r"|[A-HK-Y]\d[ABEHMNPRVWXY]) \d[ABD-HJLNP-UW-Z]{2})(?![\w])",
    re.ASCII,
)
_CANADA = re.compile(r"(?<![\w])[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z] ?\d[ABCEGHJ-NPRSTV-Z]\d(?![\w])", re.ASCII)
_DECIMAL = re.compile(
    r"(?<![\w.])[+-]?(?:[0-8]?\d|90)\.\d{4,12}\s?[,;/]\s?[+-]?(?:1[0-7]\d|\d{1,2}|180)\.\d{4,12}(?![\w]|\.\d)", re.ASCII
)
_DEGREES = re.compile(
    r"(?<![\w.])\d{1,3}\s?°\s?(?:\d{1,2}(?:\.\d{1,8})?\s?['′’]\s?(?:\d{1,2}(?:\.\d{1,8})?\s?(?:\"|″|”|''|′′))?\s?)?[NSns]"
    r"[\s,;/]{0,3}\d{1,3}\s?°\s?(?:\d{1,2}(?:\.\d{1,8})?\s?['′’]\s?(?:\d{1,2}(?:\.\d{1,8})?\s?(?:\"|″|”|''|′′))?\s?)?[EWOew](?![\w])"
)


def find(text: str) -> Iterator[Span]:
    """Numbers that the words before them name."""
    for category, reason, score, pattern in _NAMED:
        for match in pattern.finditer(text):
            start, end = match.span("value")
            yield Span(category=category, start=start, end=end, score=score, reason=reason)
    for match in _ROUTING.finditer(text):
        if weighted(match["value"], (3, 7, 1) * 3, 10) == 0:
            yield Span(
                category="pii.account", start=match.start("value"), end=match.end(), score=0.95,
                reason="a bank's routing number: its check digit agrees",
            )  # fmt: skip
    for match in _BIC.finditer(text):
        yield Span(
            category="pii.account", start=match.start("value"), end=match.end(), score=0.8, reason="a bank's BIC"
        )


def find_places(text: str) -> Iterator[Span]:
    """Coordinates on the globe, and the postcodes of countries whose form is their own."""
    for pattern in (_DECIMAL, _DEGREES):
        for match in pattern.finditer(text):
            yield Span(
                category="pii.coordinates",
                start=match.start(),
                end=match.end(),
                score=0.85,
                reason="coordinates of a place",
            )
    for pattern, score in ((_UK, 0.8), (_CANADA, 0.7)):
        for match in pattern.finditer(text):
            yield Span(category="pii.place", start=match.start(), end=match.end(), score=score, reason="a postcode")
