"""Parts of a text that say something once they are decoded: one level deep, and only what then reads like words.

A hash, an identifier or a long word is also a valid base64 or hex string; what separates them is that noise decodes to
noise. So everything decoded must be UTF-8, printable and shaped like language.
"""

from __future__ import annotations

import base64
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

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+(?:\r?\n[A-Za-z0-9+/_-]{16,}+)*+")
_LAST_LINE = re.compile(r"\r?\n[A-Za-z0-9+/_-]+={0,2}")
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
_COMMON = (
    "the and you your all not this that with will ignore forget instruction instructions previous prompt system reveal "
    "tell follow rules password secret"
)
_ROT13 = frozenset(codecs.encode(_COMMON, "rot13").split())
_REVERSED = frozenset(_COMMON[::-1].split())
_TURNED = _ROT13 | _REVERSED
_AROUND = ".,:;!?\"'()[]`*_-"
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
    if plain.count("0") + plain.count("1") >= 8 * SHORTEST:
        yield from _binary(plain)
    for match in _SPACED.finditer(plain):
        said = re.sub(rf"(?<=\w){re.escape(match['gap'])}(?=\w)", "", match[0][:LONGEST])
        if len(said) >= SHORTEST and (_VOWELS.search(said) or not said.isascii()):
            yield "spaced", *match.span(), " ".join(said.split())
    yield from _turned(plain)


def _base64(plain: str) -> Iterator[tuple[str, int, int, str]]:
    for match in _BASE64.finditer(plain):
        start, end = match.span()
        if end - start > LONGEST:
            end = start + LONGEST // 4 * 4
        # A short line after it is its end or an ordinary word.
        last = _LAST_LINE.match(plain, end)
        for until in (last.end(), end) if last else (end,):
            if (said := _words(_unpacked(plain[start:until]))) is not None:
                yield "base64", start, until, said
                break


def _unpacked(packed: str) -> bytes:
    packed = re.sub(r"[\r\n=]", "", packed).replace("-", "+").replace("_", "/")
    packed = packed[: len(packed) - (len(packed) % 4 == 1)]
    return base64.b64decode(packed + "=" * (-len(packed) % 4))


def _binary(plain: str) -> Iterator[tuple[str, int, int, str]]:
    for match in _BITS.finditer(plain):
        octets = re.findall("[01]{8}", match[0][:LONGEST])
        if (said := _words(bytes(int(octet, 2) for octet in octets))) is not None:
            yield "binary", *match.span(), said


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
    if _TURNED.isdisjoint(plain.lower().split()):
        return
    for line in _PIECE.finditer(plain):
        words = {word.strip(_AROUND) for word in line[0].lower().split()}
        if len(words & _ROT13) > 1:
            yield "rot13", *line.span(), codecs.encode(line[0], "rot13")
        if len(words & _REVERSED) > 1:
            yield "reversed", *line.span(), line[0][::-1]


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
