"""What a rule is, and the reading of a text that it is written for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from athanor.types import Origin

EVERYWHERE = frozenset(Origin)
DATA = frozenset({Origin.DOCUMENT, Origin.TOOL})
"""Where nothing speaks to a model honestly; a user may say how an answer is to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern and what it means."""

    name: str
    score: float
    """How sure it is, by judgement: 0.95 for what only attacks say, 0.7 for what a manual about attacks may say too."""
    needs: tuple[str, ...]
    """One of these is in the text, or the pattern is not tried."""
    pattern: re.Pattern[str]
    """Against the text `folded`. Every gap in it is bounded, so that it is linear."""
    why: str
    """For people."""
    only: frozenset[Origin] = EVERYWHERE


def rule(name: str, score: float, needs: str, pattern: str, why: str, only: frozenset[Origin] = EVERYWHERE) -> Rule:
    """A rule, with `needs` separated by bars."""
    return Rule(
        name=name,
        score=score,
        needs=tuple(needs.split("|")),
        pattern=re.compile(pattern, re.MULTILINE),
        why=why,
        only=only,
    )


WORD = r"(?:[\w'’,-]+\s+)"
"""A word and the gap after it."""

_FOLD = {
    **dict.fromkeys((0xA0, 0x2028, 0x2029, 0x85, 0x0B, 0x0C), " "),
    **{ord(char): "'" for char in "‘’ʼ´`"},
    **{ord(char): '"' for char in "“”„«»"},
    ord("İ"): "i",
    ord("ı"): "i",
    ord("ß"): "s",
    ord("ł"): "l",
    ord("Ł"): "l",
    ord("ø"): "o",
    ord("đ"): "d",
    ord("æ"): "a",
}
_BASES = (
    "ÀÁÂÃÄÅàáâãäåĀāĂăĄą:a ÇçĆćĈĉĊċČč:c ĎďĐ:d ÈÉÊËèéêëĒēĔĕĖėĘęĚě:e ĜĝĞğĠġĢģ:g ÌÍÎÏìíîïĨĩĪīĬĭĮį:i ÑñŃńŅņŇň:n "
    "ÒÓÔÕÖØòóôõöŌōŎŏŐő:o ŔŕŖŗŘř:r ŚśŜŝŞşŠš:s ŢţŤťȚț:t ÙÚÛÜùúûüŨũŪūŬŭŮůŰűŲų:u ÝýÿŸ:y ŹźŻżŽž:z Ææ:a"
)
_FOLD |= {ord(char): group[-1] for group in _BASES.split() for char in group[:-2]}


def folded(text: str) -> str:
    """In lower case and without accents, character for character."""
    lower = text.lower() if text.isascii() else text.translate(_FOLD).lower()
    # A letter whose lower case is two would move every place after it.
    return lower if len(lower) == len(text) else "".join(char.lower()[0] for char in text.translate(_FOLD))
