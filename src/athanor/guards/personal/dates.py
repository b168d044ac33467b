"""Dates of birth, and ages: dates are personal only where a word says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span, named, words

REACH = 40
_MONTH = (
    r"(?:jan(?:uar[iy]?|vier|\.)?|feb(?:ruar[iy]?|\.)?|f[ée]v(?:rier|\.)?|m[aä]r(?:ch|z|s|zo|ço|\.)?|ma[iy](?:o|\.)?|apr(?:il|\.)?|avril"
    r"|abril|jun[ei]?o?|juin|jul[iy]?o?|juillet|aug(?:ust|\.)?|août|agosto|sep(?:t(?:ember|embre|iembre|\.)?|\.)?|setembro|settembre"
    r"|o[ck]t(?:ober|obre|ubre|\.)?|ottobre|outubro|nov(?:ember|embre|iembre|embro|\.)?|de[cz](?:ember|embre|embro|\.)?|d[ée]cembre"
    r"|diciembre|dicembre|enero|febrero|marzo|aprile|maggio|giugno|luglio|gennaio|janeiro|fevereiro|maio|junho|julho)"
)
_DATE = re.compile(
    r"(?<![\w./-])(?:\d{1,2}(?P<s>[./-]) ?\d{1,2}(?P=s) ?(?:\d{4}|\d{2})|\d{4}(?P<t>[./-])\d{1,2}(?P=t)\d{1,2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.|º|er)? (?:of |de |di )?{_MONTH},? (?:de |del )?\d{{4}}|\d{{1,2}}-{_MONTH}-\d{{2,4}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})(?![\w]|[./-]\d)",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?<![\w./-])(?:18|19|20)\d\d(?![\w]|[./-]\d)")
_BORN = words(
    "born", "birth", "birthdate", "birth date", "birthday", "b day", "dob", "d.o.b", "date of birth", "born on",
    "geboren", "geburtsdatum", "geb", "geburtstag", "né", "née", "né le", "née le", "naissance", "nacido", "nacida",
    "nacimiento", "nato", "nata", "nascita", "nascido", "nascida", "nascimento", "geboortedatum", "født",
    "fødselsdato", "född", "födelsedatum", "syntynyt", "syntymäaika", "urodzony", "urodzona", "data urodzenia",
    "narozen", "született",
)  # fmt: skip
_BORN_YEAR = words(
    "born in", "born", "b", "b.", "geboren", "geb", "né en", "née en", "nacido en", "nato nel", "year of birth"
)
_AGE = re.compile(
    r"(?<![\w.-])(?:1[01]\d|\d{1,2})(?=[ -]?(?:years?|yrs?|jahre?|ans|años|anni|anos|jaar|år|months?"
    r"|weeks?)[ -]?(?:old|alt|of age|oud|gammal)\b"
    r"|[ -]?(?:y/?o|y\.o\.)(?![\w]))|(?<=\baged )\d{1,3}\b|(?<=\bage )\d{1,3}\b|(?<=\bage: )\d{1,3}\b"
    r"|(?<=\bage of )\d{1,3}\b"
    r"|(?<=\bturned )\d{1,3}\b(?! %)|(?<=\bturning )\d{1,3}\b",
    re.IGNORECASE,
)


def find_births(text: str) -> Iterator[Span]:
    """Whole dates after a word of birth, and years right after one."""
    if _BORN.search(text) is None and _BORN_YEAR.search(text) is None:
        return
    for pattern, names, before, score in ((_DATE, _BORN, 48, 0.95), (_YEAR, _BORN_YEAR, 16, 0.6)):
        for match in pattern.finditer(text):
            if named(text, match.start(), match.end(), names, before=before, after=0):
                yield Span(
                    category="pii.date_of_birth",
                    start=match.start(),
                    end=match.end(),
                    score=score,
                    reason="a date of birth",
                )


def find_ages(text: str) -> Iterator[Span]:
    """A person's age, where it is called one."""
    for match in _AGE.finditer(text):
        yield Span(category="pii.age", start=match.start(), end=match.end(), score=0.8, reason="an age")
