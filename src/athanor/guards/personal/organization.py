"""Firms and institutions that say in their name what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span

CATEGORY = "pii.organization"
REACH = 128
_FORM = (
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|L\.L\.C|LLP|PLC|Plc|Corp|Corporation|GmbH|AG|KGaA|e\.V|SARL|S\.A\.R\.L|SAS|S\.A"
    r"|S\.p\.A|SpA|S\.r\.l|B\.V|BV|N\.V|Oyj?|ASA|ApS|A/S|Pty|Pvt|s\.r\.o|Sp\. z o\.o|Kft|Zrt)\.?"
)
_KIND = (
    r"(?:Group|Holdings?|Associates|Partners|Technologies|Systems|Solutions|Industries|Consulting|Research|Investments"
    r"|Capital|Bank|Insurance|University|College|Institute|Foundation|Orchestra|Laborator(?:y|ies)|Airlines|Motors"
    r"|Pharmaceuticals|Enterprises|Ventures|Software|Logistics|and Sons|& Sons)"
)
_CAP = r"[A-ZÀ-ÖØ-Þ0-9][\w&.'’-]{0,30}"
_WORDS = rf"(?!The |A |An |Dear |Hi |Hello |Thanks ){_CAP}(?:(?: (?:and|of|the|for|und|et|de|&))? {_CAP}){{0,4}}?"
_LIST = rf"{_CAP}, {_CAP},? (?:and|&) {_CAP}"
_LEGAL = re.compile(rf"(?<![\w'’-])(?:{_LIST}|{_WORDS}),? (?:Pty |Pvt |GmbH & Co\. )?{_FORM}(?![\w])")
_KINDS = re.compile(rf"(?<![\w'’-])(?:{_LIST}|{_WORDS}) {_KIND}(?![\w])")


def find(text: str) -> Iterator[Span]:
    """Names that end in `Inc.`, `GmbH`, …, or in `Group`, `Orchestra`, …"""
    for pattern, score, reason in (
        (_LEGAL, 0.95, "an organisation with its legal form"),
        (_KINDS, 0.6, "an organisation, by the last word of its name"),
    ):
        for match in pattern.finditer(text):
            yield Span(category=CATEGORY, start=match.start(), end=match.end(), score=score, reason=reason)
