"""Firms and institutions that bear their legal form in their name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span

CATEGORY = "pii.organization"
REACH = 128
_FORM = (
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|L\.L\.C|LLP|PLC|Plc|Corp|Corporation|GmbH|AG|KGaA|e\.V|SARL|S\.A\.R\.L|SAS|S\.A|S\.p\.A"
    r"|SpA|S\.r\.l|B\.V|BV|N\.V|Oyj?|ASA|ApS|A/S|Pty|Pvt|s\.r\.o|Sp\. z o\.o|Kft|Zrt)"
)
_NAME = re.compile(
    rf"(?<![\w'’-])[A-ZÀ-ÖØ-Þ0-9][\w&.'’-]{{0,30}}(?:,? (?:(?:and|of|the|for|und|et|y|e|de|&) )?[A-ZÀ-ÖØ-Þ0-9][\w&.'’-]{{0,30}}){{0,4}}?"
    rf",? (?:Pty |Pvt |GmbH & Co\. )?{_FORM}\.?(?![\w])"
)


def find(text: str) -> Iterator[Span]:
    """Names that end in `Inc.`, `GmbH`, …"""
    for match in _NAME.finditer(text):
        yield Span(
            category=CATEGORY, start=match.start(), end=match.end(), score=0.95, reason="an organisation with its legal form"
        )
