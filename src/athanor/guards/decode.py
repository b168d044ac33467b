"""Parts of a text that say something once they are decoded: one level deep, and only what then reads like words.

A hash, an identifier or a long word is also a valid base64 or hex string; what separates them is that noise decodes to
noise. So everything decoded must be UTF-8, printable and shaped like language.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote_to_bytes

from athanor.guards.subject import Decoded

MOST = 64
"""Decoded parts of one text; what is beyond them is left, so that a text of nothing else stays cheap."""
LONGEST = 100_000
"""Characters of one encoded part that are looked at."""
SHORTEST = 6
"""Characters that a decoded part has at least."""

_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+(?:\r?\n[A-Za-z0-9+/_-]{16,}+)*+(?:\r?\n[A-Za-z0-9+/_-]+)?={0,2}"
)
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:\\x|0x)?[0-9a-fA-F]{2}[ ,:]?){8,}+(?![0-9A-Za-z])")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_ESCAPES = re.compile(r"(?:(?:\\u[0-9a-fA-F]{4}|\\u\{[0-9a-fA-F]{1,6}\}|&#[0-9]{2,7};|&#[xX][0-9a-fA-F]{2,6};) ?){5,}+")
_ESCAPE = re.compile(r"\\u\{?([0-9a-fA-F]{1,6})\}?|&#([0-9]{2,7});|&#[xX]([0-9a-fA-F]{2,6});")
_BITS = re.compile(r"(?<![01])(?:[01]{8}[ ,]?){6,}+(?![01])")
_LETTER = r"[^\W\d_]"
_SPACED = re.compile(
    rf"(?<!\w){_LETTER}(?P<gap>[ .\-_*|·/]){_LETTER}(?:(?P=gap){_LETTER})++(?!\w)"
    rf"(?:[ \t\n]{{1,4}}{_LETTER}(?:(?P=gap){_LETTER})*+(?!\w))*+"
)
_TAGGED = re.compile("[\U000e0020-\U000e007e]{4,}")
_SELECTED = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{6,}")
_OVERRIDDEN = re.compile("\u202e([^\u202c\u202d\u202a\u202b\n]{4,})")
_ROT13 = re.compile(
    r"\b(?:gur|naq|lbh|lbhe|nyy|abg|guvf|jvgu|vtaber|vafgehpgvbaf?|cerivbhf|cebzcg|flfgrz|erirny|gryy|sbyybj|ehyrf|sbetrg)\b",
    re.IGNORECASE,
)
_REVERSED = re.compile(
    r"\b(?:eht|dna|uoy|ruoy|lla|siht|htiw|erongi|snoitcurtsni|suoiverp|tpmorp|metsys|laever|llet|wollof|selur|tegrof)\b",
    re.IGNORECASE,
)
_PIECE = re.compile(r"[^\n]+")
_VOWELS = re.compile("[aeiouyAEIOUY]")
_TALK = re.compile(r"[^\W\d_]{2,}")


def decoded(text: str, plain: str, offsets: Sequence[int]) -> tuple[Decoded, ...]:
    """Everything in a text that is encoded and reads like language."""
    found: list[Decoded] = []
    for how, start, end, said in _parts(plain):
        if len(found) >= MOST:
            break
        found.append(Decoded(text=said, start=offsets[start], end=offsets[end], how=how))
    if not text.isascii():
        found += _hidden(text)
    return tuple(found[:MOST])


def _parts(plain: str) -> Iterator[tuple[str, int, int, str]]:
    yield from _base64(plain)
    for match in _HEX.finditer(plain):
        digits = re.sub(r"\\x|0x|[ ,:]", "", match[0][:LONGEST])
        if (said := _words(_unhex(digits))) is not None:
            yield "hex", *match.span(), said
    if "%" in plain and len(_PERCENT.findall(plain)) > 2:
        yield from _percent(plain)
    if "\\u" in plain or "&#" in plain:
        for match in _ESCAPES.finditer(plain):
            yield "escape", *match.span(), _ESCAPE.sub(_unescaped, match[0][:LONGEST])
    for match in _BITS.finditer(plain):
        bits = re.sub("[ ,]", "", match[0][:LONGEST])
        if (said := _words(int(bits, 2).to_bytes(len(bits) // 8, "big"))) is not None:
            yield "binary", *match.span(), said
    for match in _SPACED.finditer(plain):
        said = re.sub(rf"(?<=\w){re.escape(match['gap'])}(?=\w)", "", match[0][:LONGEST])
        if len(said) >= SHORTEST and (_VOWELS.search(said) or not said.isascii()):
            yield "spaced", *match.span(), " ".join(said.split())
    yield from _turned(plain)


def _base64(plain: str) -> Iterator[tuple[str, int, int, str]]:
    for match in _BASE64.finditer(plain):
        packed = re.sub(r"[\r\n=]", "", match[0][:LONGEST]).replace("-", "+").replace("_", "/")
        packed = packed[: len(packed) - (len(packed) % 4 == 1)]
        try:
            data = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if (said := _words(data)) is not None:
            yield "base64", *match.span(), said


def _percent(plain: str) -> Iterator[tuple[str, int, int, str]]:
    for match in re.finditer(r"\S+", plain):
        if match[0].count("%") > 2 and len(_PERCENT.findall(match[0])) > 2:
            try:
                said = unquote_to_bytes(match[0][:LONGEST]).decode().replace("+", " ")
            except UnicodeDecodeError:
                continue
            if said.isprintable() or "\n" in said:
                yield "url", *match.span(), said


def _turned(plain: str) -> Iterator[tuple[str, int, int, str]]:
    """Lines that read better shifted by 13 letters, or backwards: two different words of one are not chance."""
    for pattern, how in ((_ROT13, "rot13"), (_REVERSED, "reversed")):
        if pattern.search(plain) is None:
            continue
        for line in _PIECE.finditer(plain):
            hits = {word.lower() for word in pattern.findall(line[0])}
            if len(hits) < 2:
                continue
            said = codecs.encode(line[0], "rot13") if how == "rot13" else line[0][::-1]
            yield how, *line.span(), said


def _hidden(text: str) -> list[Decoded]:
    """What characters say that nobody sees: tags spell ASCII, variation selectors bytes, an override turns a line."""
    found = [
        Decoded(
            text="".join(chr(ord(char) - 0xE0000) for char in match[0]),
            start=match.start(),
            end=match.end(),
            how="tags",
        )
        for match in _TAGGED.finditer(text)
    ]
    for match in _SELECTED.finditer(text):
        data = bytes(ord(c) - 0xFE00 if ord(c) < 0xFE10 else ord(c) - 0xE0100 + 16 for c in match[0])
        if (said := _words(data)) is not None:
            found.append(Decoded(text=said, start=match.start(), end=match.end(), how="selectors"))
    found += [
        Decoded(text=match[1][::-1], start=match.start(), end=match.end(), how="reversed")
        for match in _OVERRIDDEN.finditer(text)
    ]
    return found


def _unhex(digits: str) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[2]) if match[2] else int(match[1] or match[3], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def _words(data: bytes) -> str | None:
    """`data` as text, if it is language."""
    try:
        said = data.decode()
    except UnicodeDecodeError:
        return None
    if len(said) < SHORTEST or not all(char.isprintable() or char in "\n\r\t" for char in said):
        return None
    letters = sum(map(str.isalpha, said))
    if letters + said.count(" ") < 0.75 * len(said):
        return None
    talk = sum(map(len, _TALK.findall(said)))
    sense = talk > 0.6 * len(said.replace(" ", "")) and (not said.isascii() or _VOWELS.search(said) is not None)
    return said if sense else None
