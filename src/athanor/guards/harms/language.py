# ruff: noqa: E501, SIM905  (lists of words)
"""Whether a text is in English, which is all that the shipped heads know: what they do not know, they take for comments.

By scripts and by the commonest words; no more than is needed to keep silent rather than to guess.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")
_LATIN = 0x250
"""Letters from here on are of other scripts than Latin."""

_ENGLISH = frozenset(
    "the of and to in is that it was for on are with as his they at be this have from or had by not but what all were we "
    "when your can said there use an each which she do how their if will up other about out many then them these so some "
    "her would make like him into has look more see no could my than been who its now did get you he me i a am any why "
    "where our us i'm don't just go please".split()
)
_OTHERS = frozenset(
    # German, Dutch, Scandinavian languages
    "der das und nicht ist ich du sie wir ein eine einen einem einer für mit auf dem von zu wie auch sich bei aus nach "
    "werden kann können wird sind haben bitte zum zur über oder aber mir mich dir ihr het een niet van voor met aan zijn "
    "ik je wat hoe deze naar ook maar bij och det är som att på inte jag för av med ett ikke jeg til hvordan hur og "
    # Spanish, Portuguese, French, Italian, Romanian
    "el la los las del que de en es un una por para se lo como cómo qué puede puedo está más mi tu su este esta os uma "
    "não é da dos das na com você isso meu le les des du et est une dans pour qui sur je vous nous il ce cette comment "
    "au aux avec mon mes ses di che gli della dei nel sono questo questa si più și în să nu cu "
    # Polish, Czech, Turkish, Indonesian, Vietnamese, Finnish, Hungarian
    "nie się jest jak czy że dla co mnie być jsem proč bir ve bu için nasıl mı ile çok yang untuk dengan apa ini saya "
    "bagaimana là của và có không cho một những các tôi ei että miten az és hogy nem egy".split()
)
"""Without those that are words in English, or sounds of comments (`em`, `um`, `ho`)."""


def foreign(text: str) -> bool:
    """Most letters of `text` are not Latin, or at least two of its words are common in other languages and fewer in
    English. How often a word is there does not count: `la la la` is a song."""
    words = _WORD.findall(text.lower())
    if 2 * sum(len(word) for word in words if ord(word[0]) >= _LATIN) > sum(map(len, words)):
        return True
    known = set(words)
    others = len(known & _OTHERS)
    return others >= 2 and others > len(known & _ENGLISH)
